import { z } from 'zod';
import { agentName } from './definitions.ts';
import { capabilityName, idOf, timestamp } from './ids.ts';

const scope = {
  projectId: idOf('project'),
  capability: capabilityName,
  agent: agentName,
};
/** How many tasks run at once; 0 lets none begin. */
const maxRunning = z.number().int().min(0).max(1_000_000);
/** How many tasks begin in any stretch of `perSeconds`. */
const maxStarts = z.number().int().min(1).max(1_000_000);
const perSeconds = z.number().int().min(1).max(86_400);

/**
 * What PUT /api/limits takes: which tasks it counts (what is left out is any of the team's), and how many of them. Again for the
 * same tasks: replaces what was.
 */
export const setLimit = z
  .strictObject({
    projectId: scope.projectId.optional(),
    capability: scope.capability.optional(),
    agent: scope.agent.optional(),
    maxRunning: maxRunning.optional(),
    maxStarts: maxStarts.optional(),
    perSeconds: perSeconds.optional(),
  })
  .refine((limit) => (limit.maxStarts === undefined) === (limit.perSeconds === undefined), {
    path: ['perSeconds'],
    message: 'maxStarts and perSeconds go together: so many starts in so many seconds',
  })
  .refine((limit) => limit.maxRunning !== undefined || limit.maxStarts !== undefined, {
    path: ['maxRunning'],
    message: 'give maxRunning, or maxStarts and perSeconds, or all three',
  })
  .meta({ id: 'SetLimit' });
export type SetLimit = z.output<typeof setLimit>;

export const limitQuery = z.strictObject({ projectId: idOf('project').optional() });

export const limitView = z
  .object({
    id: idOf('limit'),
    teamId: idOf('team'),
    projectId: scope.projectId.nullable(),
    capability: scope.capability.nullable(),
    agent: scope.agent.nullable(),
    maxRunning: maxRunning.nullable(),
    maxStarts: maxStarts.nullable(),
    perSeconds: perSeconds.nullable(),
    /** How many of its tasks run now. */
    running: z.number().int(),
    /** How many began within the last `perSeconds`; 0 where starts are not limited. */
    started: z.number().int(),
    /** When the next one may begin as far as starts are limited; null: now. */
    nextStartAt: timestamp.nullable(),
    createdAt: timestamp,
    updatedAt: timestamp,
    updatedBy: z.string(),
  })
  .meta({ id: 'Limit' });
export type LimitView = z.infer<typeof limitView>;
