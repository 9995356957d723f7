import { z } from 'zod';
import { branchName, idOf, timestamp } from './ids.ts';
import { submissionState } from './submissions.ts';

export const setStates = [
  'gathering',
  'queued',
  'landing',
  'moved',
  'undoing',
  'landed',
  'failed',
  'rolled_back',
] as const;

/**
 * POST /api/sets: what belongs together, one task or one submission for each project. Whatever is handed in for a task belongs to its set,
 * reworks too. All of it lands, or none.
 */
export const createSet = z
  .strictObject({
    title: z.string().min(1).max(300),
    tasks: z.array(idOf('task')).max(20).default([]),
    submissions: z.array(idOf('submission')).max(20).default([]),
  })
  .refine(({ tasks, submissions }) => {
    const all = [...tasks, ...submissions];
    return all.length >= 2 && all.length <= 20 && new Set(all).size === all.length;
  }, 'name 2 to 20 tasks and submissions, none twice')
  .meta({ id: 'CreateSet' });
export type CreateSet = z.input<typeof createSet>;

export const setView = z
  .object({
    id: idOf('set'),
    title: z.string(),
    kind: z.enum(['change', 'revert']),
    state: z
      .enum(setStates)
      .describe(
        'gathering: until all are accepted; queued: in the lines of their branches; landing, moved, undoing: on the way, their branches are closed',
      ),
    members: z.array(
      z.object({
        projectId: idOf('project'),
        taskId: idOf('task').nullable(),
        branch: branchName.nullable(),
        /** The newest that was handed in; null: nothing yet. */
        submissionId: idOf('submission').nullable(),
        state: submissionState.nullable(),
        landingId: idOf('landing').nullable(),
      }),
    ),
    reasons: z.array(z.string()),
    revertsSetId: idOf('set').nullable(),
    rolledBackBySetId: idOf('set').nullable(),
    createdAt: timestamp,
    settledAt: timestamp.nullable(),
  })
  .meta({ id: 'Set' });
export type SetView = z.infer<typeof setView>;
