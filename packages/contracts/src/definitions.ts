import { z } from 'zod';
import { capabilityName, idOf, jsonObject, timestamp } from './ids.ts';
import { eventType } from './events.ts';
import { priority } from './tasks.ts';

/** A duration as people write it: `30s`, `5m`, `2h`, or a number of seconds. */
export const duration = z.union([z.number().min(0), z.string().regex(/^\d+(ms|s|m|h|d)$/, 'must look like 30s or 5m')]);
const version = z
  .string()
  .max(100)
  .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/, 'must be a semantic version, like 1.2.0');
export const agentName = z
  .string()
  .max(100)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 'must be lower case letters, digits and dashes');

/** One thing an agent can be asked to do. `input` and `output` are JSON Schemas (draft 2020-12). */
export const skill = z.strictObject({
  name: capabilityName,
  description: z.string().max(2000).optional(),
  input: jsonObject.default({ type: 'object' }),
  output: jsonObject.default({}),
});

/** Which events start which capability. `where` compares fields of the event's data (dotted paths) for equality. */
export const trigger = z.strictObject({
  event: eventType,
  capability: capabilityName,
  where: z.record(z.string().max(200), z.union([z.string(), z.number(), z.boolean(), z.null()])).default({}),
  priority: priority.default('normal'),
  /** Task input; `$data` is replaced by the event's data and `$data.a.b` by one field of it, as JSON values. */
  input: jsonObject.default({ event: '$data' }),
});

/** How the server starts this agent on its own machine, where the operator allows it. The program is run without a shell. */
export const agentRuntime = z
  .strictObject({
    command: z
      .array(
        z
          .string()
          .min(1)
          .max(4096)
          .regex(/^[^\0]*$/, 'must not contain NUL'),
      )
      .min(1)
      .max(100),
    /** Beside what the server sets; readable by whoever may read the definition, so no place for secrets. */
    env: z
      .record(
        z
          .string()
          .max(100)
          .regex(
            /^(?!MUSTER_|SUPERVISED_BY_MUSTER$)[A-Za-z_][A-Za-z0-9_]*$/,
            'must be a name that does not begin with MUSTER_',
          ),
        z
          .string()
          .max(8192)
          .regex(/^[^\0]*$/, 'must not contain NUL'),
      )
      .refine((env) => Object.keys(env).length <= 100, 'must have at most 100 entries')
      .default({}),
    /** How often in a row a process that ends is started again; then the instance is in error. */
    restarts: z.number().int().min(0).max(1000).default(10),
  })
  .meta({ id: 'AgentRuntime' });

export const agentDefinition = z
  .strictObject({
    apiVersion: z.literal('muster/v1').default('muster/v1'),
    kind: z.literal('Agent').default('Agent'),
    metadata: z.strictObject({
      name: agentName,
      version,
      title: z.string().max(200).optional(),
      description: z.string().max(4000).optional(),
      labels: z.record(z.string().max(63), z.string().max(200)).default({}),
      template: z.enum(['qa-manager', 'explorer', 'executor']).optional(),
    }),
    goals: z.array(z.string().max(1000)).max(50).default([]),
    triggers: z.array(trigger).max(50).default([]),
    skills: z.array(skill).min(1).max(100),
    limits: z
      .strictObject({
        concurrency: z.number().int().min(1).max(1000).default(1),
        timeout: duration.default('30m'),
        costUsd: z.number().min(0).max(100_000).optional(),
      })
      .prefault({}),
    retry: z
      .strictObject({
        attempts: z.number().int().min(1).max(20).default(5),
        backoff: z.array(duration).min(1).max(10).default(['5s', '15s', '30s']),
      })
      .prefault({}),
    runtime: agentRuntime.optional(),
  })
  .meta({ id: 'AgentDefinition' });
export type AgentDefinition = z.infer<typeof agentDefinition>;

export const agentVersionState = z.enum(['draft', 'published', 'deprecated']);
export const agentVersionView = z
  .object({
    id: idOf('agentVersion'),
    agentId: idOf('agent'),
    name: agentName,
    version,
    state: agentVersionState,
    /** SHA-256 of the canonical JSON of the definition. */
    contentHash: z.string(),
    definition: agentDefinition,
    createdAt: timestamp,
    publishedAt: timestamp.nullable(),
    deprecatedAt: timestamp.nullable(),
  })
  .meta({ id: 'AgentVersion' });
export type AgentVersionView = z.infer<typeof agentVersionView>;
export const agentView = z
  .object({
    id: idOf('agent'),
    teamId: idOf('team'),
    name: agentName,
    description: z.string().nullable(),
    latestVersion: z.string().nullable().describe('the highest published version'),
    capabilities: z.array(capabilityName),
    createdAt: timestamp,
  })
  .meta({ id: 'Agent' });
/** JSON, or YAML in `source`: exactly one. */
export const registerAgent = z
  .strictObject({
    source: z.string().max(500_000).optional(),
    definition: z.unknown().optional(),
    publish: z.boolean().default(false),
  })
  .refine((r) => (r.source === undefined) !== (r.definition === undefined), 'give exactly one of source and definition')
  .meta({ id: 'RegisterAgent' });
/** A bundle, all or nothing: YAML with several documents (or one list) in `source`, or JSON in `definitions`: exactly one. */
export const importAgents = z
  .strictObject({
    source: z.string().max(500_000).optional(),
    definitions: z.array(z.unknown()).min(1).max(100).optional(),
    publish: z.boolean().default(false),
  })
  .refine(
    (r) => (r.source === undefined) !== (r.definitions === undefined),
    'give exactly one of source and definitions',
  )
  .meta({ id: 'ImportAgents' });
export const agentTemplate = z
  .object({
    name: z.string(),
    title: z.string().nullable(),
    description: z.string().nullable(),
    capabilities: z.array(capabilityName),
    source: z.string().describe('YAML, comments included'),
  })
  .meta({ id: 'AgentTemplate' });
/** An agent that an event type starts: one entry for each trigger of its highest published version. */
export const triggeredAgent = z
  .object({ agent: agentName, version, capability: capabilityName, where: trigger.shape.where.unwrap(), priority })
  .meta({ id: 'TriggeredAgent' });
