import type { CheckFacts, DeclaredWork, Finding, ProjectPolicy, VerifyInput } from '@muster/contracts';
import { createHash } from 'node:crypto';
import type { Installed } from '../project/installed.ts';
import type { CleanPython } from '../project/readings.ts';
import type { TreeFacts, TreeRun } from '../project/tree-run.ts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import type { FileChange } from '../source/changes.ts';
import type { Piece } from '../source/pieces.ts';
import type { SourceTree } from '../source/tree.ts';

export type Purpose = VerifyInput['purpose'];

/** What the tests say of a change without one piece of it. */
export interface PieceTrial extends Omit<Piece, 'without'> {
  trial: 'noticed' | 'unnoticed' | 'unknown';
  /** Cases, by name, that pass with it and fail without it. */
  failing: string[];
}

export interface FormerTests {
  /** Cases that pass on the branch and on the change, and fail on the change as they were written before. */
  failing: string[];
  /** Of those that pass on both, the ones that could not be run as they were written before. */
  missing: string[];
  /** Cases that pass on the branch, are not there on the change, and fail on it as they were written before; or could not be run so. */
  goneFailing: string[];
  goneMissing: string[];
}

/** Parts of the change taken back, run when somebody asks, once for all who do. Null: it cannot be told here. */
export interface Trials {
  /** Each independent piece of behaviour that the change alters. */
  pieces(): Promise<{ trials: PieceTrial[]; leftOut: number } | null>;
  /** All that tests want, and compare with, as the branch has it. */
  formerTests(): Promise<FormerTests | null>;
}

/** All that a check may look at. Trees are data; whatever is executed goes through `run`, which is inside the sandbox. */
export interface CheckContext {
  purpose: Purpose;
  policy: ProjectPolicy;
  /** The person who lets this change touch what judges changes; null when nobody does. */
  approvedBy: string | null;
  candidate: SourceTree;
  /** The head of the branch. */
  base: SourceTree | null;
  /** For a revert: the tree from before the landing that it takes back. */
  restores: SourceTree | null;
  /** What the candidate's text is compared with: `restores` for a revert, else `base`. */
  against: SourceTree | null;
  changes: readonly FileChange[];
  installed: Installed;
  candidateFacts: TreeFacts | null;
  baseFacts: TreeFacts | null;
  restoresFacts: () => Promise<TreeFacts | null>;
  run: TreeRun | null;
  /** The branch made ready to run, for what has to be seen there as well. */
  baseRun: () => Promise<TreeRun | null>;
  /** What tests say when parts of the change are taken back. */
  trials: Trials;
  /** Where mypy is known to have nothing to say, from earlier runs; null: it is run in any case. */
  cleanPython: CleanPython | null;
  /** What whoever handed the change in says about it. */
  declared: DeclaredWork;
  server: VerifyInput['server'];
  /** Numbers from 0 to 1, drawn for a name: the same for the same question, and not to be known before it is asked. */
  draw: (name: string) => number;
  /** For checks that run a program of their own, like those that an operator adds. */
  driver: SandboxDriver | null;
  workDir: string;
  cacheDir: string;
  npmRegistry: string | null;
  signal: AbortSignal | undefined;
  progress: (done: number, message: string) => void;
}

/** Something that a check leaves for people and other tools: a report in a format of the field. */
export interface CheckArtefact {
  /** A file name, unlike any other of the same verification. */
  readonly name: string;
  readonly mediaType: string;
  readonly text: string;
}

export type CheckOutcome = Omit<CheckFacts, 'check' | 'category' | 'ms'> & {
  artefacts?: readonly CheckArtefact[];
};

export type Language = '*' | 'typescript' | 'javascript' | 'python' | 'shell';

export interface Check {
  readonly name: string;
  /** Whose points and cap its findings draw on. */
  readonly category: CheckFacts['category'];
  /** What it can look at; `*`: whatever is there. A change that holds nothing in them has nothing to answer for. */
  readonly languages: readonly Language[];
  /** `sandbox`: answers `not_run` where there is none. `installed`: answers `not_run` where dependencies could not be had. */
  readonly needs: readonly ('sandbox' | 'installed')[];
  readonly purposes: readonly Purpose[];
  /** true: it measures time, and runs when all others of its verification have ended. */
  readonly afterTheOthers?: boolean;
  run(context: CheckContext): Promise<CheckOutcome> | CheckOutcome;
}

export const outcome = (
  status: CheckOutcome['status'],
  summary: string,
  findings: Finding[] = [],
  metrics: Record<string, number> = {},
  tool: CheckOutcome['tool'] = null,
): CheckOutcome => ({ status, summary: summary.slice(0, 4000), findings: findings.slice(0, 5000), metrics, tool });

/** A finding, its texts within the bounds of the wire. `key` tells findings of one rule in one file apart without line numbers. */
export function findingOf(given: {
  check: string;
  rule: string;
  level: Finding['level'];
  veto?: boolean;
  message: string;
  path?: string | null;
  line?: number | null;
  remedy?: string;
  key?: string;
}): Finding {
  const path = given.path ?? null;
  return {
    check: given.check,
    rule: given.rule,
    level: given.level,
    veto: given.veto ?? false,
    message: given.message.slice(0, 4000),
    path: path === null ? null : path.slice(0, 1024),
    line: given.line ?? null,
    remedy: given.remedy?.slice(0, 2000) ?? null,
    fingerprint: createHash('sha256')
      .update(JSON.stringify([given.check, given.rule, path, given.key ?? given.message]))
      .digest('hex')
      .slice(0, 40),
  };
}

export const everyPurpose: readonly Purpose[] = ['base', 'admission', 'landing', 'revert'];
export const changePurposes: readonly Purpose[] = ['admission', 'landing', 'revert'];

export const lastLines = (text: string, count = 15): string => text.trim().split('\n').slice(-count).join('\n');
export const firstLine = (text: string | null): string => (text ?? '').trim().split('\n')[0]?.slice(0, 300) ?? '';
