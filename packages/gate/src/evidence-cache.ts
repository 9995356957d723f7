import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckFacts } from '@muster/contracts';
import type { CheckLog } from './check-log.ts';
import type { Check, CheckOutcome } from './checks/check.ts';
import type { CleanPython, OfTheChange, TreeStep } from './project/readings.ts';
import type { TreeFacts } from './project/tree-run.ts';
import type { FileChange } from './source/changes.ts';
import { pythonTextsAround, topNamesOf } from './source/python-texts.ts';
import { surroundingsOf, textsAround } from './source/surroundings.ts';
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

/** What these say is about the change: which of its faults a test would notice, whether it lets tests fail, whether its files parse. */
const aboutTheChange: ReadonlySet<string> = new Set([
  'canaries',
  'honesty',
  'new-tests',
  'coverage',
  'mutation',
  'syntax',
  'pieces',
  'former-tests',
]);

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

/** What is asked by several checks, and has to be run: once for all of them, and not again where it was seen. */
export type Remember = <T>(name: string, work: () => Promise<T | null>) => Promise<T | null>;

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
): { outcomes: Kept; remember: Remember } {
  const answers = new Answers<CheckOutcome>(join(cacheDir, 'outcomes'), verification);
  const trials = new Answers<unknown>(join(cacheDir, 'trials'), verification);
  const whole = digestOf([reads.always, reads.trees, reads.green]);
  let ofTheChange: string | null | undefined;
  const keyOf = (name: string): { key: string; because: string } => {
    if (aboutTheChange.has(name) && reads.green) {
      ofTheChange ??= changeDigest(reads);
      if (ofTheChange !== null) return { key: digestOf([name, ofTheChange]), because: sameChange };
    }
    return { key: digestOf([name, whole]), because: sameQuestion };
  };
  const remember: Remember = async (name, work) => {
    const { key } = keyOf(name);
    const known = fresh.size > 0 ? null : trials.get(key);
    if (known !== null) return known.answer as Awaited<ReturnType<typeof work>>;
    const answer = await work();
    if (answer !== null) trials.put(key, answer);
    return answer;
  };
  const outcomes: Kept = async (check, work) => {
    if (!check.needs.includes('sandbox') || check.name === 'tests' || check.name === 'post-landing')
      return await work();
    const { key, because } = keyOf(check.name);
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
  return { outcomes, remember };
}

const sameTexts =
  'the same was asked before of this change and found nothing, as it does on what it is compared with now: the change is the same, and so is all that it imports and that imports it, with settings and what is declared for all files';

/**
 * That a compiler or a linter, which look at one file with what it imports, has nothing to say of a tree follows from two others: one with the same change in
 * the same surroundings, and the one that it is compared with now. Whatever file of this tree reaches the change is as it was there; whatever does not
 * is as it is here.
 * @param alike what else the answer follows from: tools, packages, command, limits
 * @param clean whether a step found nothing on what the change is compared with
 */
export function keptOfTheChange(
  cacheDir: string,
  verification: string | null,
  alike: string,
  { candidate, against, changes }: Pick<Reads, 'candidate' | 'against' | 'changes'>,
  clean: (step: TreeStep) => boolean,
  around = textsAround,
): OfTheChange {
  const answers = new Answers<unknown>(join(cacheDir, 'changes'), verification);
  let digest: string | null | undefined;
  const keyOf = (step: TreeStep): string | null => {
    digest ??= against === null ? null : digestAround({ candidate, against, changes }, around);
    return digest === null ? null : digestOf([step, alike, digest]);
  };
  return {
    find: (step) => {
      const key = clean(step) ? keyOf(step) : null;
      const known = key === null ? null : answers.get(key);
      if (known === null) return null;
      const { answer, since, verification: by } = known;
      return { outcome: answer, reused: { since: since.toISOString(), because: sameTexts, verification: by } };
    },
    keep: (step, outcome) => {
      const key = keyOf(step);
      if (key !== null) answers.put(key, outcome);
    },
  };
}

/**
 * The same for mypy, which is run by a check of its own: so whether it found nothing on what the change is compared with is kept here as well.
 * @param trees names of both
 */
export function keptOfPython(
  cacheDir: string,
  verification: string | null,
  alike: string,
  trees: readonly [candidate: string, against: string | null],
  reads: Pick<Reads, 'candidate' | 'against' | 'changes'>,
): CleanPython {
  const clean = new Answers<true>(join(cacheDir, 'clean-python'), verification);
  const tops = [reads.candidate, reads.against].map((tree) => [...(tree === null ? [] : (topNamesOf(tree) ?? []))].sort());
  const sameTops = JSON.stringify(tops[0]) === JSON.stringify(tops[1]);
  const of = (settings: unknown): { change: OfTheChange | null; keyOf: (tree: string) => string } => {
    const all = digestOf([alike, settings]);
    const keyOf = (tree: string): string => digestOf([tree, all]);
    const [, against] = trees;
    const change =
      against === null || !sameTops
        ? null
        : keptOfTheChange(cacheDir, verification, digestOf(['mypy', all, tops]), reads, () => clean.get(keyOf(against)) !== null, pythonTextsAround);
    return { change, keyOf };
  };
  return {
    find: (settings) => {
      const { change, keyOf } = of(settings);
      const found = change?.find('types') ?? null;
      if (found !== null) clean.put(keyOf(trees[0]), true);
      return found;
    },
    keep: (settings, outcome) => {
      const { change, keyOf } = of(settings);
      clean.put(keyOf(trees[0]), true);
      change?.keep('types', outcome);
    },
  };
} // prettier-ignore

const contentOf = (tree: SourceTree | null, path: string): string =>
  createHash('sha256')
    .update(tree?.content(path) ?? '')
    .digest('hex');

/** The change with all on which it can depend what tests say about it; null where that cannot be told. */
function changeDigest({ always, ...reads }: Reads): string | null {
  const digest = digestAround(reads, surroundingsOf);
  return digest === null ? null : digestOf([always, digest]);
}

/** The change, before and after, with what surrounds it on either side. */
function digestAround(
  { candidate, against, changes }: Pick<Reads, 'candidate' | 'against' | 'changes'>,
  aroundIn: (tree: SourceTree, changes: readonly FileChange[]) => ReadonlySet<string> | null,
): string | null {
  const around = aroundIn(candidate, changes);
  const before = against === null ? null : aroundIn(against, changes);
  if (around === null || (against !== null && before === null)) return null;
  return digestOf([
    changes.map(({ path, status }) => [path, status, contentOf(against, path), contentOf(candidate, path)]),
    [...around].sort().map((path) => [path, contentOf(candidate, path)]),
    [...(before ?? [])].sort().map((path) => [path, contentOf(against, path)]),
  ]);
}
