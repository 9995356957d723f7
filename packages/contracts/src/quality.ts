import { z } from 'zod';
import { idOf, timestamp } from './ids.ts';
import { enforcerPolicy } from './verification.ts';

export const trendGroups = ['project', 'agent', 'version'] as const;
export const trendBuckets = ['hour', 'day', 'week'] as const;

const about = z.object({
  /** When the bucket begins. */
  at: timestamp,
  projectId: idOf('project').nullable().describe('null: not asked by project'),
  agent: z.string().nullable().describe('null: not asked by agent, or work that is no agent’s'),
  version: z.string().nullable().describe('null: not asked by version, or not known'),
});

/** How verifications went in one stretch of time. */
export const verificationTrendPoint = about.extend({
  verifications: z.number().int(),
  accepted: z.number().int(),
  breached: z.number().int().describe('of these with something against them that the project insists on'),
  scoreMean: z.number().nullable(),
  scoreLowest: z.number().nullable(),
  secondsMedian: z.number(),
});
export const verificationTrend = z
  .object({
    bucket: z.enum(trendBuckets),
    points: z.array(verificationTrendPoint),
    truncated: z.boolean().describe('true: the oldest points are left out; ask for less'),
  })
  .meta({ id: 'VerificationTrend' });
export type VerificationTrend = z.infer<typeof verificationTrend>;

/** What one check saw in one stretch of time. */
export const checkTrendPoint = about.extend({
  check: z.string(),
  runs: z.number().int(),
  passed: z.number().int(),
  failed: z.number().int(),
  notRun: z.number().int(),
  inconclusive: z.number().int(),
  errors: z.number().int(),
  warnings: z.number().int(),
  secondsMedian: z.number(),
  metrics: z.record(z.string(), z.number()).describe('what the check measures, the mean of each'),
});
export const checkTrend = z
  .object({ bucket: z.enum(trendBuckets), points: z.array(checkTrendPoint), truncated: z.boolean() })
  .meta({ id: 'CheckTrend' });
export type CheckTrend = z.infer<typeof checkTrend>;

/** How often an agent's work in a project has succeeded lately. */
export const agentRecord = z.object({
  agent: z.string(),
  finished: z.number().int().describe('pieces of work within the window that have ended, at most the window'),
  succeeded: z.number().int().describe('landed, and not taken out again'),
  percent: z.number().nullable().describe('null: nothing has ended yet'),
  breached: z.boolean().describe('true: what it hands in needs a maintainer’s approval for now'),
});
export type AgentRecord = z.infer<typeof agentRecord>;

/** What a project insists on, and who stays below it now. */
export const enforcerView = z
  .object({
    projectId: idOf('project'),
    rules: enforcerPolicy.extend({ changedLines: z.number().describe('per cent of changed lines that tests run') }),
    agents: z.array(agentRecord).describe('those that handed something in lately, the least successful first'),
    held: z.array(idOf('submission')).describe('accepted changes that wait for a maintainer because of it'),
  })
  .meta({ id: 'Enforcer' });
export type EnforcerView = z.infer<typeof enforcerView>;
