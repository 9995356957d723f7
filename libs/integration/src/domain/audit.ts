import type { VerificationView } from '@muster/contracts';
import { digestOf, envelope, openEnvelope } from './dsse.ts';
import type { LandingRow } from './landing.ts';
import { approvalOf } from './submission.ts';
import { landingStatement, type LandingStatement } from './statement.ts';

/** A commit of the branch as git has it. */
export interface AuditedCommit {
  readonly commit: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly subject: string;
  /** Its note; empty when it has none. */
  readonly note: string;
}

export interface Testimony {
  readonly statement: LandingStatement;
  /** SHA-256 of the signed bytes: what the next statement's `previous` has to be. */
  readonly digest: string;
}

/** The statement beside a commit, if it is one of ours and nobody has touched it; otherwise what is wrong with it. */
export function readTestimony(note: string, keys: ReadonlyMap<string, string>): Testimony | string {
  if (note.trim() === '') return 'It has no provenance: it did not come in through the gate.';
  const [first = '', ...rest] = note.trim().split('\n');
  const sealed = envelope.safeParse(parseJson(first));
  if (!sealed.success) return 'Its note is not a signed statement.';
  const body = openEnvelope(sealed.data, keys);
  if (body === null) return 'The signature of its statement does not verify with any known key.';
  const statement = landingStatement.safeParse(parseJson(body.toString('utf8')));
  if (!statement.success) return 'Its statement does not have the expected shape.';
  // They are named by the digest of what was signed, so that one signature vouches for all of them.
  const summedUp = statement.data.predicate.inputAttestations.map(({ digest }) => digest.sha256);
  const beside = rest.map((line) => {
    const other = envelope.safeParse(parseJson(line));
    const words = other.success ? openEnvelope(other.data, keys) : null;
    return words === null ? null : digestOf(words);
  });
  if (summedUp.join() !== beside.join()) return 'The statements that it sums up are not the ones beside it.';
  return { statement: statement.data, digest: digestOf(body) };
}

/** Everything that one landed commit has to agree with. No problem: it is what was verified, and in its place. */
export function problemsOf(
  audited: AuditedCommit,
  testimony: Testimony,
  around: {
    readonly branch: string;
    readonly projectId: string;
    /** Digest of the statement about its parent; null when the parent is the import. */
    readonly previous: string | null;
    /** The landed commit, or the import, that it stands on. */
    readonly below: string | null;
    readonly landing: LandingRow | null;
    readonly verification: VerificationView | null;
  },
): string[] {
  const { statement, digest } = testimony;
  const [subject] = statement.subject;
  const { muster, resourceUri } = statement.predicate;
  const problems: string[] = [];
  const hold = (condition: boolean, problem: string): void => {
    if (!condition) problems.push(problem);
  };
  hold(
    subject?.digest.gitCommit === audited.commit,
    `Its statement is about the commit ${subject?.digest.gitCommit}: it was moved here.`,
  );
  hold(
    subject?.digest.gitTree === audited.tree,
    `Its statement is about the tree ${subject?.digest.gitTree}, not ${audited.tree}.`,
  );
  hold(subject?.name === `refs/heads/${around.branch}`, `Its statement is about ${subject?.name}.`);
  hold(resourceUri === `urn:muster:project:${around.projectId}`, `Its statement is about ${resourceUri}.`);
  hold(
    muster.candidateTree === audited.tree,
    `What was verified is the tree ${muster.candidateTree}, not ${audited.tree}.`,
  );
  hold(muster.score >= muster.threshold, `It landed with ${muster.score} where ${muster.threshold} was needed.`);
  const parent = muster.commits.at(-1) ?? muster.before;
  hold(
    audited.parents[0] === parent && audited.parents.length === (muster.strategy === 'merge' ? 2 : 1),
    `It was landed on ${parent} by ${muster.strategy}, but its parents are ${audited.parents.join(', ') || 'none'}.`,
  );
  hold(
    around.below === muster.before,
    `It was landed on ${muster.before}, but what landed before it is ${around.below ?? 'nothing'}.`,
  );
  hold(
    muster.commits.length === 0 || muster.strategy === 'rebase',
    'Its statement names commits that no rebase brought.',
  );
  hold(
    muster.previous === around.previous,
    'The chain is broken: its statement does not follow on the statement about the commit below.',
  );

  const { landing, verification } = around;
  if (landing === null) problems.push(`There is no record of the landing ${muster.landing}.`);
  else {
    hold(
      landing.id === muster.landing,
      `The record says that ${landing.id} landed it, its statement says ${muster.landing}.`,
    );
    hold(
      landing.state === 'landed' || landing.state === 'rolled_back',
      `The record of ${landing.id} says ${landing.state}.`,
    );
    hold(
      landing.commit === audited.commit &&
        landing.landed_tree === audited.tree &&
        landing.before === muster.before &&
        landing.strategy === muster.strategy &&
        landing.commits.join() === muster.commits.join(),
      `The record of ${landing.id} is about another commit.`,
    );
    hold(landing.verified_tree === audited.tree, `The record of ${landing.id} names another verified tree.`);
    hold(landing.statement_digest === digest, `The record of ${landing.id} holds another statement.`);
  }
  if (verification === null) problems.push(`There is no record of the verification ${muster.verification}.`);
  else {
    hold(
      verification.state === 'finished' && verification.verdict === 'accepted',
      `The record of ${verification.id} says ${verification.verdict ?? verification.state}.`,
    );
    hold(
      verification.candidateTree === audited.tree,
      `The record of ${verification.id} is about the tree ${verification.candidateTree}.`,
    );
    hold(
      verification.approvedBy === approvalOf(muster.approvedBy),
      `The record of ${verification.id} says it was let through by ${verification.approvedBy ?? 'nobody'}.`,
    );
    hold(
      verification.score === muster.score,
      `The record of ${verification.id} says a score of ${verification.score}.`,
    );
  }
  return problems;
}

/** The commits that came in below a landed one by a rebase, each with the one that vouches for it. Only where they stand in a row. */
export function carriedBy(
  history: readonly AuditedCommit[],
  testimonies: ReadonlyMap<string, Testimony | string>,
): Map<string, string> {
  const carried = new Map<string, string>();
  const at = new Map(history.map(({ commit, parents }) => [commit, parents]));
  for (const { commit: landed, parents } of history) {
    const testimony = testimonies.get(landed);
    if (testimony === undefined || typeof testimony === 'string') continue;
    const { commits, before } = testimony.statement.predicate.muster;
    const row = [...commits.toReversed(), before];
    const stands = commits.toReversed().every((commit, place) => at.get(commit)?.join() === row[place + 1]);
    if (stands && commits.length > 0 && parents.join() === row[0])
      for (const commit of commits) carried.set(commit, landed);
  }
  return carried;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
