import { Clone, CloneError, type Commit } from './clone.ts';
import { openEnvelope } from './envelope.ts';
import { type Reason, reasons } from './reasons.ts';
import { sourceOf, type Source, type Summary, summaryOf, type TestResult, testResultOf } from './statements.ts';
import type { Trust } from './trust.ts';

export interface Refusal {
  readonly reason: Reason;
  /** Null: it is about the history as a whole. */
  readonly commit: string | null;
  readonly detail: string;
}
export interface Report {
  readonly ok: boolean;
  readonly branch: string;
  readonly head: string | null;
  /** Landings whose statements were read, and commits that they vouch for. */
  readonly landings: number;
  readonly commits: number;
  readonly refusals: readonly Refusal[];
}

const NOTES = 'refs/notes/muster';
const POLICY_FILE = 'muster.yaml';

interface Landing {
  readonly commit: Commit;
  readonly digest: string;
  readonly keyId: string;
  readonly summary: Summary;
  readonly test: TestResult;
  readonly source: Source;
}

/** Re-checks everything that landed, with a clone and the trust policy alone. `ref` is where the clone has the branch. */
export function verifyProvenance(folder: string, trust: Trust, ref = `refs/heads/${trust.branch}`): Report {
  const refusals: Refusal[] = [];
  const refuse = (reason: Reason, commit: string | null, detail = ''): void => {
    refusals.push({ reason, commit, detail: detail === '' ? `${reasons[reason]}.` : detail });
  };
  const report = (head: string | null, landings: number, commits: number): Report => ({
    ok: refusals.length === 0,
    branch: trust.branch,
    head,
    landings,
    commits,
    refusals,
  });
  let head: string | null = null;
  try {
    const clone = new Clone(folder);
    head = clone.resolve(ref);
    if (head === null) throw new CloneError('clone.branch_missing', `There is no ${ref}.`);
    const walk = new Walk(clone, trust, refuse);
    return report(head, ...walk.all(head));
  } catch (error) {
    if (!(error instanceof CloneError)) throw error;
    refuse(error.reason, null, error.message);
    return report(head, 0, 0);
  }
}

class Walk {
  private readonly clone: Clone;
  private readonly trust: Trust;
  private readonly refuse: (reason: Reason, commit: string | null, detail?: string) => void;

  constructor(clone: Clone, trust: Trust, refuse: Walk['refuse']) {
    this.clone = clone;
    this.trust = trust;
    this.refuse = refuse;
  }

  all(head: string): [landings: number, commits: number] {
    const { importedHead, knownHead } = this.trust;
    if (importedHead !== null && this.clone.resolve(importedHead) === null) {
      this.refuse('history.import_left', null, `The clone does not have ${importedHead}.`);
      return [0, 0];
    }
    const reachable = this.clone.reachable(head, importedHead);
    const commits = this.clone.commits([...reachable, ...(importedHead === null ? [] : [importedHead])]);
    if (knownHead !== null && knownHead !== importedHead && !commits.has(knownHead))
      this.refuse('history.moved_back', null, `${knownHead} was on the branch and is not any more.`);
    const line = this.firstParents(head, commits);
    if (line === null) return [0, 0];
    const { notes, twice } = this.clone.notes(NOTES);
    for (const commit of twice) if (commits.has(commit)) this.refuse('note.ambiguous', commit);

    const landings = new Map<string, Landing>();
    const broken = new Set<string>();
    for (const commit of line) {
      const note = notes.get(commit.id);
      if (note === undefined) continue;
      const landing = twice.has(commit.id) ? null : this.read(commit, note);
      if (landing === null) broken.add(commit.id);
      else landings.set(commit.id, landing);
    }
    const covered = this.coverage(landings, commits, new Set(line.map(({ id }) => id)));
    const isCarried = new Set([...landings.values()].flatMap(({ summary }) => summary.commits));
    for (const id of reachable) {
      if (covered.has(id) || broken.has(id)) continue;
      const isOwn = line.some((commit) => commit.id === id) && !isCarried.has(id);
      this.refuse(isOwn && !notes.has(id) ? 'note.missing' : 'commit.uncovered', id);
    }

    const policies = this.clone.digestsOf(POLICY_FILE, [
      ...new Set([...landings.values()].flatMap(({ commit, summary }) => [commit.id, summary.before])),
    ]);
    let below = importedHead;
    let previous: Landing | null = null;
    const seen = new Set<string>();
    const ended = new Set<string>();
    for (const [keyId, { lastCommit }] of this.trust.keys) if (lastCommit === null) ended.add(keyId);
    for (const commit of line) {
      const landing = landings.get(commit.id);
      // A carried commit belongs to the landing above it; one without statements was refused already.
      if (landing === undefined) {
        if (!isCarried.has(commit.id)) [below, previous] = [commit.id, null];
        continue;
      }
      this.inPlace(landing, { below, previous, isFirst: below === importedHead, commits, policies });
      if (ended.has(landing.keyId)) this.refuse('key.retired', commit.id, `${landing.keyId} signs no longer.`);
      for (const name of [landing.summary.landing, landing.summary.submission]) {
        if (seen.has(name)) this.refuse('chain.repeated', commit.id, `${name} landed before already.`);
        seen.add(name);
      }
      for (const [keyId, { lastCommit }] of this.trust.keys) if (lastCommit === commit.id) ended.add(keyId);
      [below, previous] = [commit.id, landing];
    }
    return [landings.size, covered.size];
  }

  /** From the oldest on. Null, and told, when they do not end at the import. */
  private firstParents(head: string, commits: ReadonlyMap<string, Commit>): Commit[] | null {
    const line: Commit[] = [];
    for (let at: string | undefined = head; at !== undefined && at !== this.trust.importedHead;) {
      const commit = commits.get(at);
      if (commit === undefined) {
        this.refuse('history.import_left', at, `From ${head}, first parents do not lead to the import.`);
        return null;
      }
      line.push(commit);
      at = commit.parents[0];
      if (at === undefined && this.trust.importedHead !== null) {
        this.refuse('history.import_left', commit.id, `The history begins anew at ${commit.id}.`);
        return null;
      }
    }
    return line.reverse();
  }

  /** A summary and exactly the statements that it names. Null, and told, when anything is wrong with them. */
  private read(commit: Commit, note: string): Landing | null {
    const lines = note.trim().split('\n');
    const opened = [];
    for (const line of lines) {
      const one = openEnvelope(line, this.trust);
      if ('reason' in one) {
        this.refuse(one.reason, commit.id, one.detail);
        return null;
      }
      opened.push(one);
    }
    const [first, ...others] = opened;
    const summary = first === undefined ? null : summaryOf(first.statement);
    if (first === undefined || summary === null) {
      this.refuse('statement.malformed', commit.id, 'The first statement is no verification summary.');
      return null;
    }
    if (others.some(({ keyId }) => keyId !== first.keyId)) {
      this.refuse('evidence.altered', commit.id, 'Its statements were signed with different keys.');
      return null;
    }
    const wanted = summary.inputs;
    if (wanted.length !== 2 || others.length < wanted.length) {
      this.refuse('evidence.missing', commit.id, 'A test result and a source statement belong to every landing.');
      return null;
    }
    if (others.length > wanted.length) {
      this.refuse('evidence.stray', commit.id);
      return null;
    }
    if (others.some(({ digest }, at) => digest !== wanted[at])) {
      this.refuse('evidence.altered', commit.id);
      return null;
    }
    const test = testResultOf(others[0]?.statement);
    const source = sourceOf(others[1]?.statement);
    if (test === null || source === null) {
      this.refuse('statement.malformed', commit.id, 'A statement that it sums up is not of the expected kind.');
      return null;
    }
    return { commit, digest: first.digest, keyId: first.keyId, summary, test, source };
  }

  /** The commits that statements name: what landed, what a rebase brought below it, and what a merge brought beside it. */
  private coverage(
    landings: ReadonlyMap<string, Landing>,
    commits: ReadonlyMap<string, Commit>,
    line: ReadonlySet<string>,
  ): Set<string> {
    const covered = new Set<string>();
    for (const { commit, summary, source } of landings.values()) {
      covered.add(commit.id);
      for (const id of summary.commits) covered.add(id);
      if (summary.strategy !== 'merge' || commit.parents[1] !== source.handedIn) continue;
      // Its id holds everything below it.
      const open = [source.handedIn];
      for (let at = open.pop(); at !== undefined; at = open.pop()) {
        const side = commits.get(at);
        // What stands on the branch itself needs a statement of its own.
        if (side === undefined || covered.has(at) || line.has(at)) continue;
        covered.add(at);
        open.push(...side.parents);
      }
    }
    return new Set([...covered].filter((id) => commits.has(id)));
  }

  /** What one landing has to agree with: the commit, the one below, the statement below, and what is trusted. */
  private inPlace(
    { commit, summary, test, source }: Landing,
    around: {
      readonly below: string | null;
      readonly previous: Landing | null;
      readonly isFirst: boolean;
      readonly commits: ReadonlyMap<string, Commit>;
      readonly policies: ReadonlyMap<string, string | null>;
    },
  ): void {
    const { trust } = this;
    const hold = (condition: boolean, reason: Reason, detail = ''): void => {
      if (!condition) this.refuse(reason, commit.id, detail);
    };
    for (const { subject } of [summary, test, source]) {
      hold(subject.commit === commit.id, 'statement.wrong_commit', `It is about ${subject.commit}.`);
      hold(subject.tree === commit.tree, 'statement.wrong_tree', `It is about ${subject.tree}, not ${commit.tree}.`);
      hold(subject.name === `refs/heads/${trust.branch}`, 'statement.wrong_branch', `It is about ${subject.name}.`);
    }
    const project = `urn:muster:project:${trust.project}`;
    for (const name of [summary.resourceUri, source.repository])
      hold(name === project, 'statement.wrong_project', `It is about ${name}.`);

    const { previous, below } = around;
    const expected = previous?.digest ?? null;
    hold(
      summary.previous === expected && (previous !== null || around.isFirst),
      'chain.broken',
      `It follows on ${summary.previous ?? 'the import'}; below is ${expected ?? (around.isFirst ? 'the import' : 'nothing that vouches')}.`,
    );
    hold(summary.before === below, 'landing.wrong_base', `It was landed on ${summary.before}, and stands on ${below}.`);
    this.shape(commit, summary, source, around.commits);

    hold(
      test.verification === summary.verification &&
        test.rulesDigest === summary.rulesDigest &&
        source.revision === commit.id &&
        source.previousRevision === summary.before &&
        source.submission === summary.submission &&
        source.strategy === summary.strategy &&
        source.commits.join() === summary.commits.join() &&
        source.approved === summary.approved &&
        test.passed.every((check) => summary.checks.get(check) === 'passed') &&
        [...summary.checks].every(([check, status]) => (status === 'passed') === test.passed.includes(check)),
      'evidence.disagrees',
    );
    hold(summary.result === 'PASSED' && summary.verdict === 'accepted', 'evidence.not_passed');
    hold(['PASSED', 'WARNED'].includes(test.result) && test.failed.length === 0, 'evidence.not_passed');
    hold(summary.candidateTree === commit.tree, 'evidence.wrong_tree', `${summary.candidateTree} was verified.`);
    const ground = around.commits.get(summary.before);
    if (ground !== undefined)
      hold(summary.baseTree === ground.tree, 'evidence.wrong_base', `It was compared with ${summary.baseTree}.`);
    hold(
      summary.score >= summary.threshold,
      'evidence.below_threshold',
      `It has ${summary.score} where ${summary.threshold} were needed.`,
    );
    for (const check of new Set([...summary.required, ...(summary.kind === 'change' ? trust.requiredChecks : [])])) {
      const status = summary.checks.get(check);
      hold(status !== undefined, 'evidence.check_missing', `${check} was not run.`);
      hold(status === undefined || status === 'passed', 'evidence.check_not_passed', `${check}: ${status}.`);
    }
    this.policy(commit, summary, test, previous, around.policies);
    const wrong = forgedTrailer(commit.message, summary);
    hold(wrong === null, 'trailer.forged', wrong ?? '');
  }

  /** Parents and the commits in between are what the strategy makes of them. */
  private shape(commit: Commit, summary: Summary, source: Source, commits: ReadonlyMap<string, Commit>): void {
    const { strategy, before } = summary;
    const expected = [summary.commits.at(-1) ?? before, ...(strategy === 'merge' ? [source.handedIn] : [])];
    const rows = summary.commits.every(
      (id, at) => commits.get(id)?.parents.join() === (at === 0 ? before : summary.commits[at - 1]),
    );
    if (commit.parents.join() !== expected.join() || !rows || (summary.commits.length > 0 && strategy !== 'rebase'))
      this.refuse(
        'landing.wrong_parents',
        commit.id,
        `A ${strategy} of this has the parents ${expected.join(', ')}, not ${commit.parents.join(', ') || 'none'}.`,
      );
  }

  /** The rules are those of the commit below; they get weaker by a landed change that a person answers for, or not at all. */
  private policy(
    commit: Commit,
    summary: Summary,
    test: TestResult,
    previous: Landing | null,
    policies: ReadonlyMap<string, string | null>,
  ): void {
    const { trust } = this;
    const uri = `urn:muster:project:${trust.project}:policy:${summary.before}`;
    const rules = policies.get(summary.before) ?? null;
    if (summary.policyUri !== uri || test.policyFile !== rules)
      this.refuse('policy.wrong_source', commit.id, `It was judged by ${summary.policyUri}, not by ${uri}.`);
    if (summary.threshold < trust.minimumThreshold)
      this.refuse('policy.below_minimum', commit.id, `${summary.threshold} points were enough.`);
    if (rules !== (policies.get(commit.id) ?? null) && !summary.approved && summary.kind === 'change')
      this.refuse('policy.changed_by_nobody', commit.id);
    if (previous === null || trust.acceptedDowngrades.has(commit.id)) return;
    const then = previous.summary;
    const sameRules = (policies.get(then.before) ?? null) === rules;
    const fewer =
      summary.kind === 'change' && then.kind === 'change'
        ? then.required.filter((check) => !summary.required.includes(check))
        : [];
    if (sameRules && (summary.threshold < then.threshold || fewer.length > 0))
      this.refuse(
        'policy.downgraded',
        commit.id,
        fewer.length > 0
          ? `It no longer had to pass ${fewer.join(', ')}.`
          : `${summary.threshold} points were enough where it was ${then.threshold}.`,
      );
  }
}

/** Who lands writes the last lines of the message. Whatever else looks like them was written by somebody else. */
function forgedTrailer(message: string, summary: Summary): string | null {
  const { submission, task, reverts, verification, landing } = summary;
  const expected = new Map(
    Object.entries({ submission, task, reverts, verification, landing }).filter(([, value]) => value !== null),
  );
  const found = new Map<string, string>();
  for (const line of message.split(/\r?\n/)) {
    const [, name, value] = /^\s*muster-([a-z-]+)\s*:\s*(.*?)\s*$/i.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const key = name.toLowerCase();
    if (found.has(key)) return `Muster-${name} is there twice.`;
    if (expected.get(key) !== value) return `Muster-${name} says ${value.slice(0, 100)}.`;
    found.set(key, value);
  }
  const missing = [...expected.keys()].find((key) => !found.has(key));
  return missing === undefined ? null : `Muster-${missing} is missing.`;
}
