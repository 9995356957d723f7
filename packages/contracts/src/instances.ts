import { z } from 'zod';
import { capabilityName, idOf, timestamp } from './ids.ts';

export const instanceStates = ['idle', 'running', 'paused', 'error', 'offline'] as const;

/**
 * What people want of an instance. `pause`: nothing new for now. `drain`: nothing new, finish what it holds, then say goodbye.
 * `stop`: hand back what it holds and say goodbye.
 */
export const instanceWishes = ['run', 'pause', 'drain', 'stop'] as const;
export const instanceWish = z.enum(instanceWishes);
export type InstanceWish = z.infer<typeof instanceWish>;

/** One connected process of an agent version. */
export const instanceView = z
  .object({
    id: idOf('instance'),
    teamId: idOf('team'),
    agent: z.string(),
    version: z.string(),
    name: z.string().nullable(),
    /** Paused is every instance that is connected and not wanted to run. */
    state: z.enum(instanceStates),
    wanted: instanceWish,
    wantedReason: z.string().nullable(),
    transport: z.enum(['socket', 'poll']),
    capabilities: z.array(capabilityName),
    labels: z.record(z.string(), z.string()),
    capacity: z.number().int(),
    /** Tasks that it holds now. */
    running: z.number().int(),
    connectedAt: timestamp,
    lastSeenAt: timestamp,
  })
  .meta({ id: 'Instance' });
export type InstanceView = z.infer<typeof instanceView>;

export const processStates = ['starting', 'running', 'backing_off', 'stopping', 'stopped', 'error'] as const;

/** `POST /api/runtime/instances/start`: an instance whose process the server starts, watches and starts again. */
export const startSupervised = z
  .strictObject({
    /** A published definition that has a `runtime`, and a version or range of it. */
    agent: z.string().min(1).max(100),
    version: z.string().max(50).default('*'),
    name: z.string().max(100).optional(),
    /** Limits the key that the process is given to one project. */
    projectId: idOf('project').optional(),
  })
  .meta({ id: 'StartSupervised' });

/** The process behind a supervised instance; it is the instance's own id. */
export const supervisedView = z
  .object({
    id: idOf('instance'),
    teamId: idOf('team'),
    agent: z.string(),
    version: z.string(),
    name: z.string().nullable(),
    projectId: idOf('project').nullable(),
    command: z.array(z.string()),
    desired: z.enum(['running', 'stopped']),
    state: z.enum(processStates),
    /** Why it is in this state, where that is not plain. */
    reason: z.string().nullable(),
    pid: z.number().int().nullable(),
    /** How often it was started, and how often in a row it ended by itself. */
    starts: z.number().int(),
    failures: z.number().int(),
    nextStartAt: timestamp.nullable(),
    processStartedAt: timestamp.nullable(),
    createdAt: timestamp,
  })
  .meta({ id: 'SupervisedInstance' });
export type SupervisedView = z.infer<typeof supervisedView>;

export const processLog = z
  .object({
    items: z.array(z.object({ at: timestamp, stream: z.enum(['stdout', 'stderr', 'server']), line: z.string() })),
    /** Lines before these were not asked for or are not kept any more. */
    cut: z.boolean(),
  })
  .meta({ id: 'ProcessLog' });
export type ProcessLog = z.infer<typeof processLog>;

/** Dispatch of a team, or of the whole server, as it stands. */
export const runtimeStatus = z
  .object({
    state: z.enum(['running', 'stopped']),
    /** What holds it: neither, one or both. */
    stops: z.array(
      z.object({
        scope: z.enum(['team', 'server']),
        reason: z.string().nullable(),
        stoppedAt: timestamp,
        stoppedBy: z.string(),
      }),
    ),
    instances: z.record(z.enum(instanceStates), z.number().int()),
  })
  .meta({ id: 'RuntimeStatus' });
export type RuntimeStatus = z.infer<typeof runtimeStatus>;
