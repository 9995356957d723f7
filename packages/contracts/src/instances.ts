import { z } from 'zod';
import { capabilityName, idOf, timestamp } from './ids.ts';

export const instanceStates = ['idle', 'running', 'paused', 'error', 'offline'] as const;

/** One connected process of an agent version. */
export const instanceView = z
  .object({
    id: idOf('instance'),
    teamId: idOf('team'),
    agent: z.string(),
    version: z.string(),
    name: z.string().nullable(),
    state: z.enum(instanceStates),
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
