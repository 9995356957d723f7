import { z } from 'zod';
import { cloudEvent } from './events.ts';
import { idOf, pageOf, timestamp } from './ids.ts';
import { attemptView, rework, taskDetail } from './tasks.ts';

/** One handing-in of a task's work, and what came of it. The views behind it are at their own routes. */
export const taskChange = z.object({
  submissionId: idOf('submission'),
  state: z.string(),
  branch: z.string(),
  commit: z.string(),
  reasons: z.array(z.string()),
  verification: z
    .object({
      id: idOf('verification'),
      state: z.string(),
      verdict: z.string().nullable(),
      score: z.number().nullable(),
    })
    .nullable(),
  landing: z
    .object({
      id: idOf('landing'),
      state: z.string(),
      commit: z.string(),
      landedAt: timestamp.nullable(),
      followUpTaskId: idOf('task').nullable(),
    })
    .nullable(),
  links: z.object({
    submission: z.string(),
    verification: z.string().nullable(),
    landing: z.string().nullable(),
  }),
  createdAt: timestamp,
  updatedAt: timestamp,
});
export type TaskChange = z.infer<typeof taskChange>;

/** What an attempt left behind, without the whole of it. */
export const attemptHistory = attemptView.extend({
  agentVersion: z.string(),
  progressMessage: z.string().nullable(),
  log: z.object({ lines: z.number().int(), last: z.string().nullable() }),
  checkpointBytes: z.number().int().nullable(),
  costs: z.object({
    reports: z.number().int(),
    usd: z.number(),
    inputTokens: z.number(),
    outputTokens: z.number(),
    models: z.array(z.string()),
  }),
});

/** What GET /api/tasks/{id}/history answers. */
export const taskHistory = z
  .object({
    task: taskDetail.omit({ attempts: true }),
    attempts: z.array(attemptHistory).describe('the newest 200, newest first'),
    reworks: z.array(rework).describe('why submissions came back, the newest 100, newest first'),
    changes: z
      .array(taskChange)
      .describe('submissions with their verification and landing, the newest 100, newest first'),
    events: pageOf(cloudEvent).describe(
      'what was told about the task, its submissions, verifications and landings, oldest first; a page ends where enough of the log was looked at, and its cursor goes on',
    ),
  })
  .meta({ id: 'TaskHistory' });
export type TaskHistory = z.infer<typeof taskHistory>;
