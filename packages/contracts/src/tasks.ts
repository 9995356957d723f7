import { z } from 'zod';
import { capabilityName, idOf, jsonObject, objectId, timestamp } from './ids.ts';
import { problem } from './problem.ts';
import { finding } from './verification.ts';

export const taskStates = ['queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled'] as const;
export const taskState = z.enum(taskStates);
export type TaskState = z.infer<typeof taskState>;

/** Why a `waiting` task waits; `ref` names what it waits for, `nextActionAt` when the server looks again by itself. */
export const waitReasons = ['retry', 'lock', 'dependency', 'verification', 'landing', 'person'] as const;
export const taskWait = z.object({
  reason: z.enum(waitReasons),
  ref: z.string().nullable(),
  nextActionAt: timestamp.nullable(),
  detail: z.string().nullable(),
});

export const priorities = ['critical', 'high', 'normal', 'low'] as const;
export const priority = z.enum(priorities);
export type Priority = z.infer<typeof priority>;

export const attemptOutcomes = ['completed', 'submitted', 'failed', 'released', 'expired', 'cancelled'] as const;

/** What an earlier try taught, handed to the next attempt. */
export const attemptLesson = z.object({
  attempt: z.number().int().min(1),
  outcome: z.enum(attemptOutcomes),
  error: z.string().nullable(),
  checkpoint: z.json().nullable(),
});

/** A stretch of one file on which both sides changed: what each has, and what they started from. */
export const conflictHunk = z.object({
  path: z.string(),
  startLine: z.number().int().min(1),
  base: z.string(),
  ours: z.string().describe('the branch'),
  theirs: z.string().describe('the submission'),
});
export type ConflictHunk = z.infer<typeof conflictHunk>;

/** Why the previous submission of this task did not go in. */
export const rework = z.object({
  round: z.number().int().min(1),
  submissionId: z.string(),
  reason: z.enum(['rejected', 'conflicted', 'ejected']),
  summary: z.string(),
  findings: z.array(finding),
  conflicts: z.array(conflictHunk),
  /** The commit that the refused submission consisted of; fetch it from refs/muster/submissions/<id>. */
  commit: objectId,
});
export type Rework = z.infer<typeof rework>;

/** Work on its way that touches files which a task says it will touch (`paths` of its input, globs): they may conflict. */
export const overlap = z.object({
  submissionId: idOf('submission'),
  taskId: idOf('task').nullable(),
  paths: z.array(z.string()).describe('the first 20'),
});
export type Overlap = z.infer<typeof overlap>;

export const maxDependencies = 100;

/**
 * Who has it first: whoever did another task. The instance or the agent is waited for at most so long, while it is connected; then
 * anybody has it who may.
 */
const sticky = z.strictObject({
  to: z.enum(['instance', 'agent']).default('instance'),
  /** That task; it may still be running or wait itself. Without a task and a key: the parent. */
  task: idOf('task').optional(),
  /** The last task of the project with the same key. */
  key: z.string().min(1).max(200).optional(),
  seconds: z.number().int().min(1).max(3600).default(60),
});

/** What POST /api/tasks and POST /api/projects/{id}/capabilities/{capability} take. */
export const createTask = z
  .strictObject({
    projectId: idOf('project'),
    capability: capabilityName,
    title: z.string().min(1).max(300).optional(),
    input: jsonObject.default({}),
    priority: priority.default('normal'),
    /** Only agents whose name is this one. */
    agent: z.string().max(100).optional(),
    /** Only versions of that agent in this range, `^1.2.0`; the range of its assignment holds as well. */
    agentVersion: z.string().min(1).max(100).optional(),
    sticky: sticky.optional(),
    /** Only instances that carry all of these labels. */
    labels: z.record(z.string().max(63), z.string().max(63)).default({}),
    parentId: idOf('task').optional(),
    /** Attempts that may fail or expire before a person is asked. */
    maxAttempts: z.number().int().min(1).max(20).default(5),
    /** Not handed out before this moment. */
    notBefore: timestamp.optional(),
    /** Not started by then, it fails; running then, its attempt is ended. */
    deadline: timestamp.optional(),
    /** Tasks that have to succeed first. They exist already, so no circle can come about. */
    dependsOn: z.array(idOf('task')).max(maxDependencies).optional(),
    /** What becomes of it when one of them fails or is cancelled; `person`: it waits for somebody to say. */
    onDependencyFailure: z.enum(['cancel', 'person']).optional(),
  })
  .meta({ id: 'CreateTask' });
export type CreateTask = z.input<typeof createTask>;

/** What POST /api/tasks/bulk takes: tasks of one capability on one project. */
export const createTasks = z
  .strictObject({
    projectId: idOf('project'),
    capability: capabilityName,
    tasks: z
      .array(
        z.strictObject({
          ...createTask.omit({ projectId: true, capability: true }).shape,
          /** Ids of tasks, or places (from 0) of earlier items of this very request. */
          dependsOn: z
            .array(z.union([idOf('task'), z.number().int().min(0).max(999)]))
            .max(maxDependencies)
            .optional(),
          /** Repeated, it makes no second task. */
          idempotencyKey: z.string().min(1).max(200).optional(),
        }),
      )
      .min(1)
      .max(1000),
  })
  .meta({ id: 'CreateTasks' });
/** In the order of the request. */
export const createdTasks = z
  .object({
    items: z.array(
      z.object({
        taskId: idOf('task').nullable(),
        /** False: refused, or the key stands for an earlier task. */
        created: z.boolean(),
        problem: problem.optional(),
      }),
    ),
  })
  .meta({ id: 'CreatedTasks' });

export const attemptView = z.object({
  id: idOf('attempt'),
  number: z.number().int(),
  fence: z.number().int(),
  instanceId: idOf('instance').nullable(),
  agent: z.string().nullable(),
  outcome: z.enum(attemptOutcomes).nullable(),
  error: z.string().nullable(),
  progress: z.number().nullable(),
  costUsd: z.number(),
  startedAt: timestamp,
  endedAt: timestamp.nullable(),
});

export const taskView = z
  .object({
    id: idOf('task'),
    teamId: idOf('team'),
    projectId: idOf('project'),
    capability: capabilityName,
    title: z.string().nullable(),
    state: taskState,
    wait: taskWait.nullable(),
    priority,
    input: jsonObject,
    output: z.json().nullable(),
    error: z.string().nullable(),
    attempt: z.number().int(),
    reworks: z.number().int(),
    submissionId: idOf('submission').nullable(),
    parentId: idOf('task').nullable(),
    /** The task whose landing was rolled back and whose work this one opens again. */
    reopens: idOf('task').nullable(),
    costUsd: z.number(),
    createdAt: timestamp,
    updatedAt: timestamp,
    finishedAt: timestamp.nullable(),
  })
  .meta({ id: 'Task' });
export type TaskView = z.infer<typeof taskView>;
export const taskDetail = taskView
  .extend({
    attempts: z.array(attemptView),
    deadline: timestamp.nullable(),
    dependsOn: z.array(z.object({ taskId: idOf('task'), state: taskState })),
  })
  .meta({ id: 'TaskDetail' });
export type TaskDetail = z.infer<typeof taskDetail>;

/** What POST /api/tasks/{id}/cancel answers. */
export const taskCancelled = taskView
  .extend({
    /** Given when the whole tree was to be cancelled. */
    tree: z
      .object({
        cancelled: z.number().int().describe('tasks that this call ended'),
        complete: z.boolean().describe('false: the tree is large, and the server goes on cancelling it'),
      })
      .optional(),
  })
  .meta({ id: 'TaskCancelled' });
export type TaskCancelled = z.infer<typeof taskCancelled>;

/** What keeps a task from being worked on. */
export const taskBlockers = [
  'none',
  'retry_at',
  'not_before',
  'dependency',
  'lock',
  'verification',
  'landing',
  'person',
  'dispatch_stopped',
  'no_agent_assigned',
  'no_instance_connected',
  'agent_not_assigned',
  'version',
  'input_unfit',
  'labels',
  'other_project',
  'paused',
  'silent',
  'avoided',
  'kept_for_another',
  'limit',
  'at_capacity',
] as const;
export type TaskBlocker = (typeof taskBlockers)[number];
export const taskExplanation = z
  .object({
    taskId: idOf('task'),
    state: taskState,
    blocker: z.enum(taskBlockers),
    summary: z.string(),
    /** What would change it. */
    change: z.string(),
    /** When it changes by itself, where that is known. */
    until: timestamp.nullable(),
    /** The task, submission, landing, instance or limit that it is about. */
    ref: z.string().nullable(),
    overlaps: z
      .array(overlap)
      .describe('changes on their way that touch what it says it will touch; empty when it says nothing'),
    /** Connected instances that offer the capability, each with what keeps it from taking the task. */
    instances: z.array(
      z.object({
        instanceId: idOf('instance'),
        agent: z.string(),
        version: z.string(),
        blocker: z.enum(taskBlockers),
        why: z.string(),
      }),
    ),
  })
  .meta({ id: 'TaskExplanation' });
export type TaskExplanation = z.infer<typeof taskExplanation>;
