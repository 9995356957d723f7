import { z } from 'zod';
import { idOf, objectId, timestamp } from './ids.ts';

export const forgeKinds = ['github', 'gitlab'] as const;

/** What becomes of pull and merge requests there. In no repository: whose work is taken is nobody's to change with a commit. */
export const requestPolicy = z
  .strictObject({
    from: z
      .enum(['nobody', 'writers', 'anyone'])
      .default('nobody')
      .describe('whose requests to the project’s branch are handed in as submissions; writers: who may push there'),
    authors: z
      .array(z.string().min(1).max(255))
      .max(200)
      .default([])
      .describe('handed in besides: the requests of these, by their names there'),
    forks: z.boolean().default(false).describe('also those whose branch is in another repository'),
    drafts: z.boolean().default(false).describe('also those that are not said to be ready yet'),
    out: z
      .boolean()
      .default(false)
      .describe('a request is opened there for every change that was accepted here, and closed when it has landed'),
  })
  .meta({ id: 'ForgeRequestPolicy' });
export type RequestPolicy = z.infer<typeof requestPolicy>;

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
    requests: requestPolicy.prefault({}),
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
    requests: requestPolicy,
    webhookUrl: z.url(),
    /** Whether there is a secret yet that webhooks can be signed with. */
    hasSecret: z.boolean(),
    /** Statuses and check runs that the forge has not been told yet. */
    owed: z.number().int(),
    /** Why the last one that was not taken was not. */
    problem: z.string().nullable(),
    openRequests: z.number().int().describe('requests there that are handed in here, or that were opened from here'),
    failingRequests: z.number().int().describe('requests about which the forge could not be asked, or told'),
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
    request: z.number().int().nullable().describe('the pull or merge request that it is about'),
    receivedAt: timestamp,
  })
  .meta({ id: 'Webhook' });
export type WebhookView = z.infer<typeof webhookView>;

export const requestStates = ['unseen', 'skipped', 'open', 'closed'] as const;
/** A pull or merge request, as it was when the forge was asked last. */
export const forgeRequest = z
  .object({
    id: idOf('forgeRequest'),
    projectId: idOf('project'),
    direction: z.enum(['in', 'out']).describe('in: opened there by somebody; out: opened there by Muster'),
    number: z.number().int().nullable().describe('null: not opened yet'),
    title: z.string().nullable(),
    url: z.string().nullable(),
    author: z.string().nullable(),
    branch: z.string().nullable(),
    head: objectId.nullable(),
    state: z
      .enum(requestStates)
      .describe('unseen: the forge was not asked yet; skipped: not handed in, and `why` says why not'),
    why: z.string().nullable(),
    /** What its head was handed in as, or what it shows; the last one. */
    submissionId: idOf('submission').nullable(),
    taskId: idOf('task').nullable(),
    failures: z.number().int(),
    problem: z.string().nullable().describe('why the last look failed'),
    nextLookAt: timestamp.nullable().describe('null: when something happens, or somebody asks'),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .meta({ id: 'ForgeRequest' });
export type ForgeRequest = z.infer<typeof forgeRequest>;
