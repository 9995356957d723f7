import { z } from 'zod';
import { branchName, capabilityName, idOf, jsonObject, objectId, timestamp } from './ids.ts';
import { instanceWish } from './instances.ts';
import { problem } from './problem.ts';
import { attemptLesson, overlap, rework } from './tasks.ts';

/**
 * The agent socket, `GET /api/runtime/connect` upgraded to WebSocket, `Authorization: Bearer <api key>`.
 * A frame is a JSON array of messages, so that many share one packet. Every message from the agent that names a task
 * carries its fence; one that the server answers carries `seq`, and the answer repeats it as `re`.
 */
export const heartbeatSeconds = 5;

/** Everything an agent needs to work on one attempt of one task. */
export const assignmentMessage = z
  .object({
    taskId: idOf('task'),
    attemptId: idOf('attempt'),
    attempt: z.number().int().min(1),
    /** Fencing token: every write of this attempt carries it; a higher one exists as soon as somebody else has the task. */
    fence: z.number().int(),
    leaseUntil: timestamp,
    capability: capabilityName,
    title: z.string().nullable(),
    input: jsonObject,
    project: z.object({
      id: idOf('project'),
      slug: z.string(),
      branch: branchName,
      head: objectId.nullable(),
      gitPath: z.string(),
    }),
    lessons: z.array(attemptLesson),
    checkpoint: z.json().nullable(),
    rework: rework.nullable(),
    /** What is on its way to the branch in the files that the task says it will touch. Absent when there is nothing. */
    overlaps: z.array(overlap).optional(),
  })
  .meta({ id: 'TaskAssignment' });
export type TaskAssignment = z.infer<typeof assignmentMessage>;

const seq = z.number().int().min(0);
const held = { seq, taskId: idOf('task'), fence: z.number().int() };

/** Verbs of the lease, one shape on the socket and (without type and seq) on `POST /api/tasks/{taskId}/attempts/{fence}/{verb}`. */
export const progressBody = z.strictObject({
  ratio: z.number().min(0).max(1).optional(),
  message: z.string().max(2000),
});
export const logBody = z.strictObject({
  lines: z.array(z.string().max(8000)).min(1).max(500),
  stream: z.enum(['stdout', 'stderr']).default('stdout'),
});
export const costBody = z.strictObject({
  /** Repeating a report with the same key does not charge twice. */
  key: z.string().min(1).max(100),
  usd: z.number().min(0).max(100_000),
  model: z.string().max(100).optional(),
  inputTokens: z.number().int().min(0).max(1_000_000_000).optional(),
  outputTokens: z.number().int().min(0).max(1_000_000_000).optional(),
});
export const checkpointBody = z.strictObject({ state: z.json() });
export const completeBody = z.strictObject({ output: z.json().default(null) });
export const failBody = z.strictObject({ error: z.string().min(1).max(8000), retryable: z.boolean().default(true) });
export const releaseBody = z.strictObject({ reason: z.string().max(2000).default('released') });

export const agentMessage = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('hello'),
    seq,
    protocol: z.literal(1),
    /** A published definition of the key's team, and a version or range of it. */
    agent: z.string().min(1).max(100),
    version: z.string().max(50).default('*'),
    capabilities: z.array(capabilityName).min(1).max(100),
    name: z.string().max(100).optional(),
    capacity: z.number().int().min(1).max(1000).default(1),
    labels: z.record(z.string().max(63), z.string().max(63)).default({}),
    /** Given on a reconnect, so that leases still held go on. */
    resume: idOf('instance').optional(),
  }),
  z.strictObject({ type: z.literal('credit'), seq, count: z.number().int().min(0).max(1000) }),
  z.strictObject({
    type: z.literal('heartbeat'),
    seq,
    held: z.array(z.strictObject({ taskId: idOf('task'), fence: z.number().int() })).max(1000),
  }),
  z.strictObject({ type: z.literal('progress'), ...held, ...progressBody.shape }),
  z.strictObject({ type: z.literal('log'), ...held, ...logBody.shape }),
  z.strictObject({ type: z.literal('cost'), ...held, ...costBody.shape }),
  z.strictObject({ type: z.literal('checkpoint'), ...held, ...checkpointBody.shape }),
  z.strictObject({ type: z.literal('complete'), ...held, ...completeBody.shape }),
  z.strictObject({ type: z.literal('fail'), ...held, ...failBody.shape }),
  z.strictObject({ type: z.literal('release'), ...held, ...releaseBody.shape }),
  z.strictObject({ type: z.literal('bye'), seq, reason: z.string().max(500).default('shutdown') }),
]);
export type AgentMessage = z.infer<typeof agentMessage>;
export const agentFrame = z.array(agentMessage).min(1).max(1000);

export const serverMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('welcome'),
    re: seq,
    instanceId: idOf('instance'),
    leaseMs: z.number().int(),
    heartbeatMs: z.number().int(),
  }),
  /** Consumes one credit. */
  z.object({ type: z.literal('task'), task: assignmentMessage }),
  z.object({ type: z.literal('ok'), re: seq, result: z.json().optional() }),
  z.object({ type: z.literal('refused'), re: seq, problem }),
  /** Stop now; later writes of this fence are refused. */
  z.object({ type: z.literal('cancel'), taskId: idOf('task'), fence: z.number().int(), reason: z.string() }),
  /** What people want of this instance from now on; told again after each welcome while it is not `run`. */
  z.object({ type: z.literal('wanted'), wanted: instanceWish, reason: z.string().nullable() }),
  /** The server is going away: reconnect with jitter. */
  z.object({ type: z.literal('drain'), reason: z.string() }),
]);
export type ServerMessage = z.infer<typeof serverMessage>;
export const serverFrame = z.array(serverMessage).min(1);
