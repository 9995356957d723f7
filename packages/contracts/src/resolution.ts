import { z } from 'zod';
import { idOf, objectId, repositoryPath } from './ids.ts';

/** What of a conflict may be settled by a tool: together small enough for one task. */
export const maxResolveCharacters = 3_000_000;

/** A lock file that both sides changed, and the manifests as they are merged. */
const lockConflict = z.object({
  path: repositoryPath,
  /** By their path beside the lock file. Whatever runs sees these and nothing else of the project. */
  manifests: z.record(repositoryPath, z.string()),
  base: z.string().nullable(),
  ours: z.string(),
  theirs: z.string(),
});
export type LockConflict = z.infer<typeof lockConflict>;

/** Files that a command makes of the others, as the target branch's landed rules declare them. */
export const generatedRule = z.strictObject({
  files: z
    .array(
      z
        .string()
        .min(1)
        .max(300)
        .regex(/^(?!!)/, 'must say which files it makes, not which it does not'),
    )
    .min(1)
    .max(50)
    .describe('globs of what it makes; gone before it runs, so that all of it is made anew'),
  run: z.string().min(1).max(500).describe('a command; run in the sandbox, in the project’s folder'),
  timeoutSeconds: z.number().int().min(1).max(120).default(60),
});
export type GeneratedRule = z.infer<typeof generatedRule>;

/** Trees are fetched from GET /api/submissions/{id}/merges/{on}/trees/{tree}. */
const generatedConflict = z.object({
  submissionId: idOf('submission'),
  /** The commit that the submission is merged with. */
  on: objectId,
  trees: z.object({
    merged: objectId.describe('as git merges it; where it conflicts, with markers'),
    ours: objectId,
    theirs: objectId,
  }),
  /** All that the rules declare, in their order: one may be made of what another makes. */
  rules: z.array(generatedRule).min(1).max(20),
  /** Whether the project's dependencies are installed for them, as for its checks. */
  install: z.boolean(),
  /** The declared files that conflict. */
  conflicts: z.array(repositoryPath).min(1),
  /** A lock file that conflicts as well; it is settled first. */
  lock: lockConflict.nullable(),
});
export type GeneratedConflict = z.infer<typeof generatedConflict>;

/** The input of a `muster.resolve` task. */
export const resolveInput = z.discriminatedUnion('how', [
  lockConflict.extend({ how: z.literal('npm-lock') }),
  generatedConflict.extend({ how: z.literal('generated') }),
]);
export type ResolveInput = z.infer<typeof resolveInput>;

const lockAnswer = z.object({
  resolved: z.literal(true),
  content: z.string().max(8_000_000),
  tool: z.string().max(100),
});
export type LockAnswer = z.infer<typeof lockAnswer>;
const rebuiltAnswer = z.object({
  resolved: z.literal(true),
  /** Every declared file that is not as git merged it. */
  files: z
    .array(z.object({ path: repositoryPath, encoding: z.enum(['utf8', 'base64']), content: z.string() }))
    .min(1)
    .max(2000),
  lock: lockAnswer.omit({ resolved: true }).nullable(),
  tool: z.string().max(100),
});
export type RebuiltAnswer = z.infer<typeof rebuiltAnswer>;
const noAnswer = z.object({ resolved: z.literal(false), why: z.string().max(2000) });
export type NoAnswer = z.infer<typeof noAnswer>;

export const resolveAnswer = z.union([noAnswer, lockAnswer, rebuiltAnswer]);
export type ResolveAnswer = z.infer<typeof resolveAnswer>;

/** What both sides changed and nobody had to be asked about; the result was verified like everything else. */
export const resolvedFile = z.object({
  path: z.string(),
  how: z
    .enum(['npm-lock', 'generated', 'identical-hunks'])
    .describe(
      'npm-lock: packages merged by their places, written by npm without network and scripts; ' +
        'generated: made anew from the merged sources by the command that the landed rules name; ' +
        'identical-hunks: both sides made the same change at the same place, and git has it once',
    ),
  tool: z.string().describe('the program and its version, and what it ran'),
  blob: objectId.describe('what was made'),
  taskId: z.string().nullable().describe('the task of the system that made it; null: git did'),
});
export type ResolvedFile = z.infer<typeof resolvedFile>;
