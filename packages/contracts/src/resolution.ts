import { z } from 'zod';
import { objectId, repositoryPath } from './ids.ts';

/** What of a conflict may be settled by a tool: together small enough for one task. */
export const maxResolveCharacters = 3_000_000;

/** The input of a `muster.resolve` task: a lock file that both sides changed, and the manifests as they are merged. */
export const resolveInput = z.object({
  how: z.literal('npm-lock'),
  path: repositoryPath,
  /** By their path beside the lock file. Whatever runs sees these and nothing else of the project. */
  manifests: z.record(repositoryPath, z.string()),
  base: z.string().nullable(),
  ours: z.string(),
  theirs: z.string(),
});
export type ResolveInput = z.infer<typeof resolveInput>;

export const resolveAnswer = z.discriminatedUnion('resolved', [
  z.object({ resolved: z.literal(true), content: z.string().max(8_000_000), tool: z.string().max(100) }),
  z.object({ resolved: z.literal(false), why: z.string().max(2000) }),
]);
export type ResolveAnswer = z.infer<typeof resolveAnswer>;

/** A file in which two sides conflicted and which a tool made anew; the result was verified like everything else. */
export const resolvedFile = z.object({
  path: z.string(),
  how: z
    .enum(['npm-lock'])
    .describe('npm-lock: packages merged by their places, written by npm without network and scripts'),
  tool: z.string().describe('the program and its version'),
  blob: objectId.describe('what was made'),
  taskId: z.string().describe('the task of the system that made it'),
});
export type ResolvedFile = z.infer<typeof resolvedFile>;
