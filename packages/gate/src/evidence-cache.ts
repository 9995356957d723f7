import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckFacts } from '@muster/contracts';
import type { CheckLog } from './check-log.ts';
import type { Check, CheckOutcome } from './checks/check.ts';
import type { TreeFacts } from './project/tree-run.ts';
import type { FileChange } from './source/changes.ts';
import { surroundingsOf } from './source/surroundings.ts';
import type { SourceTree } from './source/tree.ts';

export const digestOf = (of: unknown): string => createHash('sha256').update(JSON.stringify(of)).digest('hex');

/** Answers under names that say all that they follow from, in files: a reader sees a whole one or none. */
class Answers<T> {
  private readonly folder: string;
  private readonly verification: string | null;

  /** @param verification whoever sees something new now */
  constructor(folder: string, verification: string | null) {
    this.folder = folder;
    this.verification = verification;
    mkdirSync(folder, { recursive: true });
  }

  /** With the moment at which it was seen, and by which verification. */
  get(key: string): { answer: T; since: Date; verification: string | null } | null {
    const path = join(this.folder, `${key}.json`);
    try {
      const kept = JSON.parse(readFileSync(path, 'utf8')) as { answer?: T; verification?: string | null };
      if (kept.answer === undefined) return null; // by an earlier version
      return { answer: kept.answer, since: statSync(path).mtime, verification: kept.verification ?? null };
    } catch {
      return null; // not seen yet, or not to be read: it is looked at again
    }
  }

  put(key: string, answer: T): void {
    const draft = join(this.folder, `.${key}-${randomUUID()}`);
    writeFileSync(draft, JSON.stringify({ answer, verification: this.verification }));
    renameSync(draft, join(this.folder, `${key}.json`));
  }
}

/** What a tree showed is kept by content, so the branch's side of a comparison, usually a candidate of before, is not run again. */
export const keptFacts = (cacheDir: string, verification: string | null): Answers<TreeFacts> =>
  new Answers(join(cacheDir, 'trees'), verification);

/** What these say is about the change: which of its faults a test would notice, and whether it lets tests fail. */
const aboutTheChange: ReadonlySet<string> = new Set(['canaries', 'honesty', 'new-tests', 'coverage', 'mutation']);

export interface Reads {
  /** What every check reads besides the trees: tools, rules, packages, what was declared. */
  always: unknown;
  /** Names of both trees, and the lots that were drawn for them. */
  trees: unknown;
  /** The suite passes here and on the branch. */
  green: boolean;
  candidate: SourceTree;
  against: SourceTree | null;
  changes: readonly FileChange[];
}

export type Kept = (
  check: Check,
  work: () => Promise<CheckOutcome> | CheckOutcome,
) => Promise<CheckOutcome & Pick<CheckFacts, 'reused'>>;

const sameQuestion =
  'the same was asked before: both trees, the rules, what was declared and drawn, dependencies and tools are the same';
const sameChange =
  'the same was asked before of this change: the rules, what was declared, dependencies and tools are the same, and so is all that the change and the tests that reach it can see';

/**
 * What the costly checks saw is kept by what they read. That is both trees for most, so that a change that is verified once more, for
 * its landing on the same head, is answered from there. What is about the change itself is kept by the change and its surroundings: it
 * holds as well when something has landed meanwhile that neither the change nor a test of it can see. Builds, tests and all that
 * only reads are looked at on each tree. Only what was seen is kept.
 */
export function keptOutcomes(
  cacheDir: string,
  verification: string | null,
  fresh: ReadonlySet<string>,
  log: CheckLog | undefined,
  reads: Reads,
): Kept {
  const answers = new Answers<CheckOutcome>(join(cacheDir, 'outcomes'), verification);
  const whole = digestOf([reads.always, reads.trees, reads.green]);
  let ofTheChange: string | null | undefined;
  const keyOf = (check: Check): { key: string; because: string } => {
    if (aboutTheChange.has(check.name) && reads.green) {
      ofTheChange ??= changeDigest(reads);
      if (ofTheChange !== null) return { key: digestOf([check.name, ofTheChange]), because: sameChange };
    }
    return { key: digestOf([check.name, whole]), because: sameQuestion };
  };
  return async (check, work) => {
    if (!check.needs.includes('sandbox') || check.name === 'tests' || check.name === 'post-landing')
      return await work();
    const { key, because } = keyOf(check);
    const known = fresh.has(check.name) ? null : answers.get(key);
    if (known !== null) {
      const since = known.since.toISOString();
      log?.(check.name, `[reused from ${since}: ${because}]\n${known.answer.summary}\n`);
      return { ...known.answer, reused: { since, because, verification: known.verification } };
    }
    const result = await work();
    if (result.status === 'passed' || result.status === 'failed') answers.put(key, result);
    return result;
  };
}

const contentOf = (tree: SourceTree | null, path: string): string =>
  createHash('sha256')
    .update(tree?.content(path) ?? '')
    .digest('hex');

/** The change with all on which it can depend what tests say about it; null where that cannot be told. */
function changeDigest({ always, candidate, against, changes }: Reads): string | null {
  const around = surroundingsOf(candidate, changes);
  const before = against === null ? null : surroundingsOf(against, changes);
  if (around === null || (against !== null && before === null)) return null;
  return digestOf([
    always,
    changes.map(({ path, status }) => [path, status, contentOf(against, path), contentOf(candidate, path)]),
    [...around].sort().map((path) => [path, contentOf(candidate, path)]),
    [...(before ?? [])].sort().map((path) => [path, contentOf(against, path)]),
  ]);
}
