import {
  capabilityName,
  idOf,
  instanceStates,
  instanceWish,
  pageQuery,
  priorities,
  taskStates,
  timestamp,
} from '@muster/contracts';
import { z } from 'zod';

/** One value, several separated by commas, or the parameter repeated. */
const listOf = <T extends string>(values: readonly [T, ...T[]]) =>
  z
    .preprocess(
      (given) => (typeof given === 'string' ? given.split(',') : given),
      z.array(z.enum(values)).min(1).max(values.length),
    )
    .optional();

export const taskQuery = z.strictObject({
  ...pageQuery.shape,
  projectId: idOf('project').optional(),
  state: listOf(taskStates),
  capability: capabilityName.optional(),
  parentId: idOf('task').optional(),
  agent: z.string().max(100).optional(),
  priority: listOf(priorities),
  createdAfter: timestamp.optional(),
  createdBefore: timestamp.optional(),
});
export const operationQuery = z.strictObject({ ...pageQuery.shape, state: listOf(taskStates) });
export const logQuery = z.strictObject({
  ...pageQuery.shape,
  limit: z.coerce.number().int().min(1).max(1000).default(200),
  fence: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
});
export const instanceQuery = z.strictObject({
  ...pageQuery.shape,
  state: listOf(instanceStates),
  agent: z.string().max(100).optional(),
});

const reason = z.string().min(1).max(500).nullable().default(null);
export const reasonBody = z.strictObject({ reason });
export const stopBody = z.strictObject({
  /** How long a supervised process may take to hand its work back before it is ended. */
  graceSeconds: z.number().min(0).max(3600).optional(),
  reason,
});
const scope = z.enum(['team', 'server']).default('team');
export const stopRuntimeBody = z.strictObject({ scope, reason });
export const startRuntimeBody = z.strictObject({ scope });
export const processLogQuery = z.strictObject({ lines: z.coerce.number().int().min(1).max(5000).default(200) });

export const taskId = idOf('task');
export const projectId = idOf('project');
export const instanceId = idOf('instance');
export const limitId = idOf('limit');
export const fence = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
export const capability = capabilityName;

export const logLine = z.object({
  fence: z.number().int(),
  number: z.number().int(),
  stream: z.enum(['stdout', 'stderr']),
  line: z.string(),
  at: z.string(),
});
export const renewed = z.object({ taskId, fence: z.number().int(), leaseUntil: z.string().nullable() });
export const charged = renewed.extend({ counted: z.boolean() });
export const ended = z.object({
  taskId,
  fence: z.number().int(),
  state: z.enum(taskStates),
  retryAt: z.string().nullable(),
});
export const welcome = z.object({ instanceId, leaseMs: z.number().int(), heartbeatMs: z.number().int() });
export const heartbeatBody = z.strictObject({
  held: z
    .array(z.strictObject({ taskId, fence: z.number().int() }))
    .max(1000)
    .default([]),
});
export const heartbeatAnswer = z.object({
  stale: z.array(z.object({ taskId, fence: z.number().int() })),
  wanted: instanceWish,
  wantedReason: z.string().nullable(),
});
export const claimBody = z.strictObject({
  /** How long to wait for a first task; then the answer is empty. */
  waitSeconds: z.number().min(0).max(60).default(0),
  count: z.number().int().min(1).max(100).default(1),
});
export const byeBody = z.strictObject({ reason: z.string().max(500).default('shutdown') });
export const cancelBody = z.strictObject({
  reason: z.string().min(1).max(2000).default('cancelled'),
  /** With everything below it. */
  tree: z.boolean().default(false),
});
