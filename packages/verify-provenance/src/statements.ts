import { isList, isObject, isText, isTexts, within } from './shape.ts';

/** What the verifier reads of the three statements about one landing. */
export interface Summary {
  readonly subject: Subject;
  readonly resourceUri: string;
  readonly policyUri: string;
  readonly rulesDigest: string;
  readonly result: string;
  readonly inputs: readonly string[];
  readonly landing: string;
  readonly kind: 'change' | 'revert';
  readonly submission: string;
  readonly task: string | null;
  readonly reverts: string | null;
  readonly verification: string;
  readonly verdict: string;
  readonly approved: boolean;
  readonly before: string;
  readonly strategy: 'squash' | 'merge' | 'rebase';
  readonly commits: readonly string[];
  readonly score: number;
  readonly threshold: number;
  readonly required: readonly string[];
  readonly candidateTree: string;
  readonly baseTree: string | null;
  readonly checks: ReadonlyMap<string, string>;
  readonly previous: string | null;
}
export interface Subject {
  readonly name: string;
  readonly commit: string;
  readonly tree: string;
}
export interface TestResult {
  readonly subject: Subject;
  readonly result: string;
  readonly passed: readonly string[];
  readonly warned: readonly string[];
  readonly failed: readonly string[];
  readonly verification: string;
  readonly rulesDigest: string;
  /** SHA-256 of muster.yaml; null: there was none. */
  readonly policyFile: string | null;
}
export interface Source {
  readonly subject: Subject;
  readonly repository: string;
  readonly revision: string;
  readonly previousRevision: string;
  readonly strategy: string;
  readonly commits: readonly string[];
  readonly submission: string;
  readonly handedIn: string;
  readonly approved: boolean;
}

const STATEMENT = 'https://in-toto.io/Statement/v1';
const SUMMARY = 'https://slsa.dev/verification_summary/v1';
const TEST_RESULT = 'https://in-toto.io/attestation/test-result/v0.1';
const SOURCE = 'urn:muster:source-provenance:v1';

class Malformed extends Error {}
const text = (value: unknown): string => {
  if (!isText(value)) throw new Malformed();
  return value;
};
const maybe = (value: unknown): string | null => (value === null ? null : text(value));
const texts = (value: unknown): readonly string[] => {
  if (!isTexts(value)) throw new Malformed();
  return value;
};
const number = (value: unknown): number => {
  if (typeof value !== 'number') throw new Malformed();
  return value;
};
const oneOf = <T extends string>(value: unknown, ...these: readonly T[]): T => {
  const found = these.find((each) => each === value);
  if (found === undefined) throw new Malformed();
  return found;
};
const list = (value: unknown): readonly unknown[] => {
  if (!isList(value)) throw new Malformed();
  return value;
};

function subjectOf(statement: unknown, predicateType: string): Subject {
  if (within(statement, '_type') !== STATEMENT || within(statement, 'predicateType') !== predicateType)
    throw new Malformed();
  if (list(within(statement, 'subject')).length !== 1) throw new Malformed();
  const [name, commit, tree] = [['name'], ['digest', 'gitCommit'], ['digest', 'gitTree']].map((path) =>
    text(within(statement, 'subject', 0, ...path)),
  );
  return { name: name ?? '', commit: commit ?? '', tree: tree ?? '' };
}
const orNull = <T>(read: () => T): T | null => {
  try {
    return read();
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
};

export const summaryOf = (statement: unknown): Summary | null =>
  orNull(() => {
    const of = (...path: Array<string | number>): unknown => within(statement, 'predicate', ...path);
    const muster = (name: string): unknown => of('muster', name);
    return {
      subject: subjectOf(statement, SUMMARY),
      resourceUri: text(of('resourceUri')),
      policyUri: text(of('policy', 'uri')),
      rulesDigest: text(of('policy', 'digest', 'sha256')),
      result: text(of('verificationResult')),
      inputs: list(of('inputAttestations') ?? []).map((input) => text(within(input, 'digest', 'sha256'))),
      landing: text(muster('landing')),
      kind: oneOf(muster('kind'), 'change', 'revert'),
      submission: text(muster('submission')),
      task: maybe(muster('task')),
      reverts: maybe(muster('reverts')),
      verification: text(muster('verification')),
      verdict: text(muster('verdict')),
      approved: isObject(muster('approvedBy')),
      before: text(muster('before')),
      strategy: oneOf(muster('strategy'), 'squash', 'merge', 'rebase'),
      commits: texts(muster('commits')),
      score: number(muster('score')),
      threshold: number(muster('threshold')),
      required: texts(muster('required') ?? []),
      candidateTree: text(muster('candidateTree')),
      baseTree: maybe(muster('baseTree')),
      checks: new Map(
        list(muster('checks')).map((check) => [text(within(check, 'check')), text(within(check, 'status'))]),
      ),
      previous: maybe(muster('previous')),
    };
  });

export const testResultOf = (statement: unknown): TestResult | null =>
  orNull(() => {
    const of = (...path: Array<string | number>): unknown => within(statement, 'predicate', ...path);
    const file = list(of('configuration')).find((each) => within(each, 'name') === 'muster.yaml');
    return {
      subject: subjectOf(statement, TEST_RESULT),
      result: text(of('result')),
      passed: texts(of('passedTests')),
      warned: texts(of('warnedTests')),
      failed: texts(of('failedTests')),
      verification: text(of('muster', 'verification')),
      rulesDigest: text(of('configuration', 0, 'digest', 'sha256')),
      policyFile: file === undefined ? null : text(within(file, 'digest', 'sha256')),
    };
  });

export const sourceOf = (statement: unknown): Source | null =>
  orNull(() => {
    const of = (...path: Array<string | number>): unknown => within(statement, 'predicate', ...path);
    return {
      subject: subjectOf(statement, SOURCE),
      repository: text(of('repository')),
      revision: text(of('revision')),
      previousRevision: text(of('previousRevision')),
      strategy: text(of('strategy')),
      commits: texts(of('commits')),
      submission: text(of('handedIn', 'submission')),
      handedIn: text(of('handedIn', 'commit')),
      approved: isObject(of('approvedBy')),
    };
  });
