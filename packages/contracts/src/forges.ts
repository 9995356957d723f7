import { z } from 'zod';
import { idOf, objectId, timestamp } from './ids.ts';

export const forgeKinds = ['github', 'gitlab'] as const;

/** PUT /api/projects/{projectId}/forge: where the project lives on a forge, by an account that the operator has set up there. */
export const setForge = z
  .strictObject({
    account: z.string().min(1).max(100).describe('one of the operator’s accounts (MUSTER_FORGES)'),
    repository: z
      .string()
      .max(300)
      .regex(/^[\w.-]+(\/[\w.-]+)+$/, 'must look like owner/name')
      .refine((path) => path.split('/').every((part) => part !== '.' && part !== '..'), 'must look like owner/name'),
    statuses: z.boolean().default(true).describe('tell the forge what becomes of commits that came from there'),
    checks: z
      .boolean()
      .default(false)
      .describe('the same by check runs, with findings at their lines; for accounts that are GitHub Apps'),
  })
  .meta({ id: 'SetForge' });

export const forgeView = z
  .object({
    projectId: idOf('project'),
    account: z.string(),
    /** Null: the operator has taken the account away. */
    kind: z.enum(forgeKinds).nullable(),
    repository: z.string(),
    statuses: z.boolean(),
    checks: z.boolean(),
    webhookUrl: z.url(),
    /** Whether there is a secret yet that webhooks can be signed with. */
    hasSecret: z.boolean(),
    /** Statuses and check runs that the forge has not been told yet. */
    owed: z.number().int(),
    /** Why the last one that was not taken was not. */
    problem: z.string().nullable(),
    createdAt: timestamp,
  })
  .meta({ id: 'Forge' });
export type ForgeView = z.infer<typeof forgeView>;

/** The only answer that ever holds the secret. */
export const forgeSecret = z.object({ webhookUrl: z.url(), secret: z.string() }).meta({ id: 'ForgeSecret' });
export type ForgeSecret = z.infer<typeof forgeSecret>;

export const webhookOutcomes = ['acted', 'ignored'] as const;
export const webhookReceipt = z
  .object({ outcome: z.enum([...webhookOutcomes, 'repeated']) })
  .meta({ id: 'WebhookReceipt' });
export type WebhookReceipt = z.infer<typeof webhookReceipt>;
export const webhookView = z
  .object({
    id: idOf('webhook'),
    /** As the forge names this delivery. */
    delivery: z.string(),
    event: z.string(),
    outcome: z.enum(webhookOutcomes),
    branch: z.string().nullable(),
    commit: objectId.nullable(),
    receivedAt: timestamp,
  })
  .meta({ id: 'Webhook' });
export type WebhookView = z.infer<typeof webhookView>;
