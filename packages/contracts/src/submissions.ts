import { z } from 'zod';
import { branchName, idOf, objectId, repositoryPath, timestamp } from './ids.ts';
import { resolvedFile } from './resolution.ts';
import { conflictHunk } from './tasks.ts';
import { landingStrategies } from './verification.ts';

export const submissionStates = [
  'received',
  'verifying',
  'queued',
  'landing',
  'landed',
  'rejected',
  'conflicted',
  'failed',
] as const;
export const submissionState = z.enum(submissionStates);

/** One file of a submission: its new content, or null to delete it. */
export const fileChange = z.strictObject({
  path: repositoryPath,
  content: z.string().nullable(),
  encoding: z.enum(['utf8', 'base64']).default('utf8'),
  executable: z.boolean().optional(),
});

/** What POST /api/submissions takes: exactly one of `files`, `patch`, `commit`. */
export const createSubmission = z
  .strictObject({
    taskId: idOf('task'),
    fence: z.number().int(),
    /** The commit that the change was made on; it must be in the history of the target branch. */
    base: objectId,
    message: z.string().min(1).max(10_000),
    files: z.array(fileChange).min(1).max(5000).optional(),
    /** A unified diff as `git diff` prints it. */
    patch: z.string().max(20_000_000).optional(),
    /** A commit that was pushed to refs/for/<branch> before. */
    commit: objectId.optional(),
    claim: z.string().max(10_000).optional().describe("the agent's own words on what it did; shown, never believed"),
  })
  .refine(
    (s) => [s.files, s.patch, s.commit].filter((x) => x !== undefined).length === 1,
    'give exactly one of files, patch and commit',
  )
  .meta({ id: 'CreateSubmission' });
export type CreateSubmission = z.input<typeof createSubmission>;

/** A person who handed a change in without a task: they answer for what it changes of the project's rules. */
export const approver = z.object({ id: idOf('user'), name: z.string() });
export type Approver = z.infer<typeof approver>;

/** One thing that a change still waits for people for. */
export const reviewNeed = z.object({
  because: z.enum(['owners', 'quorum', 'rules', 'enforcer']),
  /** The first of the paths that it is about; empty: the change as a whole. */
  paths: z.array(z.string()),
  /** Any of these counts; empty: whoever may review in the project. */
  people: z.array(z.string()),
  missing: z.number().int().min(1),
});
export type ReviewNeed = z.infer<typeof reviewNeed>;

export const submissionView = z
  .object({
    id: idOf('submission'),
    projectId: idOf('project'),
    taskId: idOf('task').nullable(),
    kind: z.enum(['change', 'revert']),
    branch: branchName,
    base: objectId,
    commit: objectId,
    message: z.string(),
    agent: z.string().nullable(),
    approvedBy: approver
      .nullable()
      .describe(
        'the person who answers for what it changes of the project’s rules: who handed it in, or who approved an agent’s change to them',
      ),
    releasedBy: approver.nullable().describe('the person who let it land, where the project asks for one'),
    held: z
      .enum(['person', 'review', 'set', 'quiet_hours', 'conflict'])
      .nullable()
      .describe(
        'what it waits for besides its turn: a person’s release, approvals, the others of its set, the end of quiet hours, or another that is being redone because of a conflict in the same files',
      ),
    reviewNeeds: z.array(reviewNeed).describe('the approvals that are missing, as far as the server has looked'),
    state: submissionState,
    verificationId: idOf('verification').nullable(),
    conflicts: z.array(conflictHunk),
    resolved: z.array(resolvedFile).describe('conflicts that a tool settled, on the head that it was last merged with'),
    reasons: z.array(z.string()),
    landingId: idOf('landing').nullable(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .meta({ id: 'Submission' });
export type SubmissionView = z.infer<typeof submissionView>;

export const landingStates = ['intended', 'landed', 'abandoned', 'rolled_back'] as const;
export const landingView = z
  .object({
    id: idOf('landing'),
    projectId: idOf('project'),
    submissionId: idOf('submission'),
    verificationId: idOf('verification'),
    taskId: idOf('task').nullable(),
    setId: idOf('set').nullable().describe('the set that it landed with'),
    branch: branchName,
    strategy: z.enum(landingStrategies),
    releasedBy: approver.nullable(),
    before: objectId,
    commit: objectId,
    /** Equal, always: tree(landed) == tree(verified). */
    landedTree: objectId,
    verifiedTree: objectId,
    resolved: z.array(resolvedFile).describe('files that a tool made anew because both sides had changed them'),
    state: z.enum(landingStates),
    postLanding: z.enum(['none', 'pending', 'passed', 'failed', 'not_run']),
    /** The landing of the revert that took this one back. */
    rolledBackBy: idOf('landing').nullable(),
    followUpTaskId: idOf('task').nullable(),
    landedAt: timestamp.nullable(),
  })
  .meta({ id: 'Landing' });
export type LandingView = z.infer<typeof landingView>;

/** The landing queue of a project's branch, as it stands now. */
export const queueView = z
  .object({
    projectId: idOf('project'),
    branch: branchName,
    head: objectId.nullable(),
    window: z.number().int().describe('how many are verified on top of one another at once'),
    entries: z.array(
      z.object({
        submissionId: idOf('submission'),
        taskId: idOf('task').nullable(),
        agent: z.string().nullable(),
        kind: z.enum(['change', 'revert']),
        position: z.number().int().describe('1 is the front'),
        state: submissionState,
        urgency: z.enum(['critical', 'high', 'normal', 'low']),
        /** What it is verified on top of: a commit that has landed, or the submissions ahead of it, nearest first. */
        testedOn: z
          .object({ commit: objectId, tree: objectId, landed: z.boolean(), submissions: z.array(idOf('submission')) })
          .nullable(),
        since: timestamp.nullable(),
        verificationId: idOf('verification').nullable(),
        setAside: z.boolean().describe('fails on top of what has not landed; judged again at the front'),
        predictedLanding: timestamp
          .nullable()
          .describe('from how long the last ones took; null where nothing is known'),
      }),
    ),
    waiting: z
      .array(
        z.object({
          submissionId: idOf('submission'),
          taskId: idOf('task').nullable(),
          for: z.enum(['person', 'review', 'set', 'quiet_hours', 'conflict']),
          why: z.string().describe('in words: “waits for 1 more approval of @maintainer for deploy/**”'),
        }),
      )
      .describe('accepted or in line, and held by something besides their turn'),
  })
  .meta({ id: 'LandingQueue' });
export type QueueView = z.infer<typeof queueView>;

/** Which open changes will not merge with one another by themselves. */
export const conflictForecast = z
  .object({
    projectId: idOf('project'),
    /** How many open changes were looked at, and how many pairs of them had to be merged to know. */
    changes: z.number().int(),
    pairsMerged: z.number().int(),
    conflicts: z.array(
      z.object({ submissions: z.tuple([idOf('submission'), idOf('submission')]), paths: z.array(z.string()) }),
    ),
    /** Open changes that touch the asked-for paths: what work on these would have to get along with. */
    touching: z.array(z.object({ submissionId: idOf('submission'), paths: z.array(z.string()) })),
  })
  .meta({ id: 'ConflictForecast' });
export type ConflictForecast = z.infer<typeof conflictForecast>;

/** What taking a landing back would mean, before anybody asks for it. */
export const rollbackForecast = z
  .object({
    landingId: idOf('landing'),
    state: z.enum(landingStates),
    paths: z.array(z.string()).describe('what it changed'),
    clean: z.boolean().describe('it comes out by itself, as the branch is now'),
    nothingLeft: z.boolean().describe('later landings have undone it already'),
    conflicts: z
      .array(conflictHunk)
      .describe('where it does not: ours is the branch, theirs what was there before the landing'),
    /** Later landings that touched what it touched, and may stand on it. */
    dependents: z.array(
      z.object({
        landingId: idOf('landing'),
        taskId: idOf('task').nullable(),
        commit: objectId,
        paths: z.array(z.string()),
      }),
    ),
    /** Changes on their way that touch it as well. */
    openWork: z.array(z.object({ submissionId: idOf('submission'), paths: z.array(z.string()) })),
  })
  .meta({ id: 'RollbackForecast' });
export type RollbackForecast = z.infer<typeof rollbackForecast>;

/** POST /api/submissions/{submissionId}/reviews: a person's word on exactly this content. Saying it again replaces what they said. */
export const reviewSubmission = z
  .strictObject({ verdict: z.enum(['approve', 'reject']), comment: z.string().min(1).max(10_000).optional() })
  .refine(
    ({ verdict, comment }) => verdict === 'approve' || comment !== undefined,
    'say why it is rejected in `comment`',
  )
  .meta({ id: 'ReviewSubmission' });
export type ReviewSubmission = z.input<typeof reviewSubmission>;
export const reviewView = z
  .object({
    submissionId: idOf('submission').describe(
      'where it was said; it counts for every submission with the same content',
    ),
    userId: idOf('user'),
    name: z.string(),
    verdict: z.enum(['approve', 'reject']),
    comment: z.string().nullable(),
    baseTree: objectId,
    tree: objectId,
    createdAt: timestamp,
  })
  .meta({ id: 'Review' });
export type ReviewView = z.infer<typeof reviewView>;

export const rollbackLanding = z.strictObject({ reason: z.string().min(1).max(2000) });

/** One line of `muster audit`: a commit of the branch and what is wrong with its evidence. */
export const auditReport = z
  .object({
    projectId: idOf('project'),
    branch: branchName,
    ok: z.boolean(),
    checked: z.number().int(),
    publicKeys: z.array(z.object({ keyId: z.string(), pem: z.string() })),
    commits: z.array(
      z.object({
        commit: objectId,
        tree: objectId,
        subject: z.string(),
        kind: z.enum(['import', 'landing', 'unknown']),
        landingId: z.string().nullable(),
        problems: z.array(z.string()),
      }),
    ),
  })
  .meta({ id: 'AuditReport' });
export type AuditReport = z.infer<typeof auditReport>;
