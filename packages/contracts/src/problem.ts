import { z } from 'zod';

/** RFC 9457 problem details, as every error of the REST API and of the agent socket is answered. */
export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int().min(400).max(599),
    /** Stable, `room.reason`: what programs switch on. */
    code: z.string(),
    /** What happened and what to do next, for people. */
    detail: z.string(),
    instance: z.string().optional(),
    traceId: z.string().optional(),
    /** Facts about this occurrence. */
    data: z.record(z.string(), z.unknown()).optional(),
    /** One entry for each invalid field, `path` as in `skills.0.name`. */
    errors: z
      .array(
        z.object({ path: z.string(), message: z.string(), line: z.number().optional(), column: z.number().optional() }),
      )
      .optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;
