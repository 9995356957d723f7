import { z } from 'zod';
import { timestamp } from './ids.ts';

/** One promise about what is stored, and whether it is kept. */
export const invariantResult = z.object({
  /** `runtime.one_open_attempt`: the room that keeps it, and which one it is. */
  name: z.string(),
  promise: z.string(),
  ok: z.boolean(),
  /** In the whole installation. */
  violations: z.number().int(),
  /** Some of them, of the caller's team only. */
  examples: z.array(z.object({ subject: z.string(), detail: z.string() })),
  tookMs: z.number().int(),
});
/** What `GET /api/doctor/invariants` answers: every invariant, checked against one snapshot of the database. */
export const invariantReport = z
  .object({ ok: z.boolean(), checkedAt: timestamp, invariants: z.array(invariantResult) })
  .meta({ id: 'InvariantReport' });
export type InvariantReport = z.infer<typeof invariantReport>;
