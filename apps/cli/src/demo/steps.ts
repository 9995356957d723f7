import type { CloudEvent, LandingView, SubmissionView, TaskDetail, VerificationView } from '@muster/contracts';
import { MusterApiError, type JsonValue, type MusterClient } from '@muster/sdk';
import type { AuthorProcess, Authors } from './author-process.ts';
import type { Journal } from './journal.ts';
import type { StepResult } from './report.ts';
import type { RealTest } from './source-repository.ts';
import type { Timeline } from './timeline.ts';

export interface Stage {
  readonly client: MusterClient;
  readonly agentToken: string;
  readonly projectId: string;
  readonly base: string;
  readonly journal: Journal;
  readonly timeline: Timeline;
  readonly authors: Authors;
  readonly leaseSeconds: number;
  /** The tree of a commit as git itself says it, fetched from the server. */
  readonly treeOf: (commit: string) => Promise<string>;
  /** On the ledger the roles know where to strike; on other code they stay with what they add. */
  readonly onLedger: boolean;
  readonly tests: readonly RealTest[];
  readonly noRollback: string | null;
}

/** A step that this repository has no place for. */
export class NotPlayable extends Error {}
/** A step that came out otherwise than it should. */
export class Mismatch extends Error {}

interface Found {
  agent?: string;
  taskId?: string;
  submissionId?: string;
  verdict?: string;
  score?: number | null;
  commit?: string;
}
export interface Step {
  readonly name: string;
  readonly expected: string;
  /** Can be played where no test runs. */
  readonly withoutTests?: true;
  /** Answers what happened, in a sentence; throws Mismatch or NotPlayable. */
  play(stage: Stage, found: Found): Promise<string>;
}

/** What each of the ten that hand in at once adds; none has to do with another. */
const ideasOfTen = [
  'palindrome',
  'leapYear',
  'factorial',
  'vowels',
  'percent',
  'ordinal',
  'binary',
  'extension',
  'masked',
  'century',
] as const;
const tenAuthors = ideasOfTen.map((_, index) => `demo-worker-${index + 1}` as const);

export const agentNames = [
  'demo-honest',
  'demo-breaker',
  'demo-skipper',
  'demo-tamperer',
  'demo-leaker',
  'demo-stubber',
  'demo-first',
  'demo-second',
  'demo-regressor',
  'demo-mortal',
  'demo-sleeper',
  ...tenAuthors,
] as const;
type AgentName = (typeof agentNames)[number];
/** The regressor has a capability of its own, so that the task which reopens its work stays queued: nobody else has it. */
export const capabilityOf = (agent: AgentName): string =>
  agent === 'demo-regressor' ? 'code.refactor' : 'code.change';

export async function playStep(step: Step, stage: Stage): Promise<StepResult> {
  const startedAt = Date.now();
  const found: Found = {};
  const result = (ok: boolean, actual: string, skipped = false): StepResult => ({
    name: step.name,
    expected: step.expected,
    actual,
    ok,
    skipped,
    agent: found.agent ?? null,
    taskId: found.taskId ?? null,
    submissionId: found.submissionId ?? null,
    verdict: found.verdict ?? null,
    score: found.score ?? null,
    commit: found.commit ?? null,
    ms: skipped ? 0 : Date.now() - startedAt,
  });
  try {
    return result(true, await step.play(stage, found));
  } catch (error) {
    if (error instanceof NotPlayable) return result(true, `skipped: ${error.message}`, true);
    return result(false, error instanceof Error ? error.message : String(error));
  }
}

const sameTask =
  (taskId: string) =>
  (data: Record<string, unknown>): boolean =>
    data['taskId'] === taskId;
const sameSubmission =
  (id: string) =>
  (data: Record<string, unknown>): boolean =>
    data['submissionId'] === id;
const text = (event: CloudEvent, name: string): string => {
  const value = event.data[name];
  if (typeof value !== 'string') throw new Mismatch(`${event.type} carries no ${name}`);
  return value;
};

/** One task with its author, from the start of the process to its end. */
class Play {
  author: AuthorProcess;
  taskId = '';

  private constructor(
    readonly stage: Stage,
    readonly step: Step,
    readonly found: Found,
    readonly agent: AgentName,
    readonly role: string,
  ) {
    found.agent = agent;
    this.author = this.#startAuthor();
  }

  static async begin(
    stage: Stage,
    step: Step,
    found: Found,
    agent: AgentName,
    role: string,
    title: string,
    input: Record<string, JsonValue> = {},
  ): Promise<Play> {
    stage.timeline.expect(title, step.name);
    const play = new Play(stage, step, found, agent, role);
    const task = await stage.client.tasks.create({
      projectId: stage.projectId,
      capability: capabilityOf(agent),
      title,
      agent,
      input: { ...input, tests: [...new Set(stage.tests.map((test) => test.file))].slice(0, 20) },
    });
    play.taskId = task.id;
    found.taskId = task.id;
    stage.timeline.name(task.id, step.name);
    return play;
  }

  #startAuthor(): AuthorProcess {
    return this.stage.authors.start({ role: this.role, agent: this.agent, capability: capabilityOf(this.agent) });
  }
  another(): AuthorProcess {
    return this.#startAuthor();
  }

  /** The task's submission; the author may say instead that this repository has no place for it. */
  async submission(): Promise<string> {
    const event = await this.stage.journal.firstOf(
      ['submission.received', 'task.attempt_failed', 'task.failed'],
      (data) => data['taskId'] === this.taskId && (data['kind'] === undefined || data['kind'] === 'change'),
      'a submission',
    );
    if (event.type !== 'submission.received') {
      const error = typeof event.data['error'] === 'string' ? event.data['error'] : 'without a word';
      const cannot = /cannot be played here: ([\s\S]*)/.exec(error);
      if (cannot) throw new NotPlayable(cannot[1]);
      throw new Mismatch(`its agent failed: ${error} ${this.author.lastWords}`);
    }
    const id = text(event, 'submissionId');
    this.found.submissionId = id;
    return id;
  }

  /** What became of one submission of the task: landed, rejected or conflicted. */
  outcome(submissionId: string): Promise<CloudEvent> {
    return this.stage.journal.firstOf(
      ['landing.landed', 'submission.rejected', 'submission.conflicted'],
      sameSubmission(submissionId),
      `a verdict on ${submissionId}`,
    );
  }

  /** Where it conflicts with what others landed meanwhile, its agent works it in: then the rework is followed. */
  async landed(submissionId: string, reworks = 3): Promise<LandingView> {
    const event = await this.outcome(submissionId);
    if (event.type === 'landing.landed') return this.landing(text(event, 'landingId'));
    if (event.type === 'submission.conflicted' && reworks > 0) {
      const again = await this.submissionAfter(event);
      return this.landed(again, reworks - 1);
    }
    const submission = await this.stage.client.submissions.get(submissionId);
    await this.judged(submissionId, submission);
    throw new Mismatch(`${submission.state}: ${submission.reasons.join('; ')}`);
  }

  /** The next submission of the task, after the one that came back. */
  async submissionAfter(conflicted: CloudEvent): Promise<string> {
    const again = await this.stage.journal.firstWhere(
      (event) =>
        event.type === 'submission.received' &&
        event.data['taskId'] === this.taskId &&
        event.position > conflicted.position,
      'the reworked submission',
    );
    this.found.submissionId = text(again, 'submissionId');
    return this.found.submissionId;
  }

  async landing(landingId: string): Promise<LandingView> {
    const { client, treeOf } = this.stage;
    const landing = await client.landings.get(landingId);
    const verification = await client.verifications.get(landing.verificationId);
    const tree = await treeOf(landing.commit);
    this.found.commit = landing.commit;
    this.found.verdict = verification.verdict ?? undefined!;
    this.found.score = verification.score;
    if (tree !== verification.candidateTree || tree !== landing.landedTree || tree !== landing.verifiedTree)
      throw new Mismatch(
        `git says the landed tree is ${tree}, verified was ${verification.candidateTree}, the landing says ${landing.landedTree}`,
      );
    return landing;
  }

  async judged(submissionId: string, known?: SubmissionView): Promise<VerificationView | null> {
    const submission = known ?? (await this.stage.client.submissions.get(submissionId));
    if (submission.verificationId === null) return null;
    const verification = await this.stage.client.verifications.get(submission.verificationId);
    if (verification.verdict !== null) this.found.verdict = verification.verdict;
    this.found.score = verification.score;
    return verification;
  }

  /** The refusal of the task's first submission, with the verification that says why. */
  async refused(): Promise<VerificationView> {
    const submissionId = await this.submission();
    const event = await this.outcome(submissionId);
    const verification = await this.judged(submissionId);
    if (event.type === 'landing.landed') {
      this.found.commit = text(event, 'commit');
      throw new Mismatch(`it landed with ${verification?.score ?? '?'} points`);
    }
    if (verification?.verdict !== 'rejected') throw new Mismatch(`${event.type} without a verdict that rejects`);
    return verification;
  }

  /** Ends the process, and the task when somebody could still take it up. */
  async end(): Promise<void> {
    this.author.kill('SIGKILL');
    if (this.taskId === '') return;
    const task = await this.stage.client.tasks.get(this.taskId).catch(() => null);
    if (task && !['succeeded', 'failed', 'cancelled'].includes(task.state))
      await this.stage.client.tasks.cancel(this.taskId, 'the demo is done with it').catch(() => undefined);
  }
}

/** What is weighty in a verification: vetoes, errors and its reasons, as text with the check's name in front. */
const accusations = (verification: VerificationView): string[] => [
  ...verification.reasons,
  ...(verification.facts?.checks ?? []).flatMap((check) =>
    check.findings
      .filter((finding) => finding.veto || finding.level === 'error')
      .map((finding) => `${check.category}/${check.check}/${finding.rule}: ${finding.message} ${finding.path ?? ''}`),
  ),
];

const refusedFor = async (play: Play, pattern: RegExp, what: string): Promise<string> => {
  try {
    const verification = await play.refused();
    const said = accusations(verification);
    const found = said.find((line) => pattern.test(line));
    if (found === undefined)
      throw new Mismatch(`refused, but not for ${what}: ${verification.reasons.join('; ') || said.join('; ')}`);
    return `refused: ${verification.reasons.find((reason) => pattern.test(reason)) ?? found}`;
  } finally {
    await play.end();
  }
};

const honest: Step = {
  name: 'honest change',
  expected: 'lands, and tree(landed) == tree(verified)',
  async play(stage, found) {
    const play = await Play.begin(stage, this, found, 'demo-honest', 'honest', 'Keep numbers within a range', {
      idea: 'clamp',
    });
    try {
      const landing = await play.landed(await play.submission());
      return `landed; tree(landed) ${landing.landedTree.slice(0, 12)} == tree(verified) ${landing.verifiedTree.slice(0, 12)}`;
    } finally {
      await play.end();
    }
  },
};

const brokenTest: Step = {
  name: 'broken test',
  expected: 'refused, with the failing test named',
  async play(stage, found) {
    const play = await Play.begin(
      stage,
      this,
      found,
      'demo-breaker',
      'breaks-a-test',
      'Simplify how numbers are handled',
      { idea: 'clamp' },
    );
    return refusedFor(
      play,
      stage.onLedger ? /amounts are printed with two digits/ : /raises what is below|raises_what_is_below/,
      'the failing test by its name',
    );
  },
};

const removedTest: Step = {
  name: 'removed or skipped test',
  expected: 'refused for the test that is missing',
  async play(stage, found) {
    const [test] = stage.tests;
    if (!stage.onLedger && !test) throw new NotPlayable('its base has no test that passes and whose file is known');
    const play = await Play.begin(
      stage,
      this,
      found,
      'demo-skipper',
      'removes-a-test',
      'Clean up',
      test ? { testName: test.name, testFile: test.file } : {},
    );
    return refusedFor(play, /skip|remov|delet|weaken|missing|disappear|no longer|fewer/i, 'the weakened tests');
  },
};

const tampering: Step = {
  name: 'gate settings edited',
  expected: 'refused for touching the gate',
  withoutTests: true,
  async play(stage, found) {
    const play = await Play.begin(stage, this, found, 'demo-tamperer', 'edits-the-gate', 'Find common divisors', {
      idea: 'divisor',
    });
    return refusedFor(play, /muster\.yaml|tamper/i, 'the edited settings');
  },
};

const secret: Step = {
  name: 'hard-coded secret',
  expected: 'refused for the secret, whatever the score',
  withoutTests: true,
  async play(stage, found) {
    const play = await Play.begin(stage, this, found, 'demo-leaker', 'leaks-a-secret', 'Find the middle of three', {
      idea: 'median',
    });
    return refusedFor(play, /secret|credential|aws|access key/i, 'the secret');
  },
};

const stub: Step = {
  name: 'stub called done',
  expected: 'refused, because emptying the function makes no test fail',
  async play(stage, found) {
    const play = await Play.begin(stage, this, found, 'demo-stubber', 'stub', 'Validate IBANs');
    return refusedFor(play, /empt|stub|surviv|mutant|mutation|no test (fails|notices)|constant/i, 'the stub');
  },
};

/** Plays both sides of the conflict; the second step shows the one that came back. */
class ConflictPair {
  #second: Promise<string> | null = null;
  readonly #secondFound: Found = {};

  readonly lands: Step = {
    name: 'conflict: one lands',
    expected: 'the change that comes first lands',
    play: async (stage, found) => {
      const { head } = await stage.client.projects.get(stage.projectId);
      const input = { base: head ?? stage.base };
      const began: Play[] = [];
      const ownFound: Found[] = [{}, {}];
      for (const [index, agent] of (['demo-first', 'demo-second'] as const).entries()) {
        const voice = index === 0 ? 'first' : 'second';
        began.push(
          await Play.begin(stage, this.lands, ownFound[index]!, agent, 'conflicts', `Word it my way (${voice})`, {
            ...input,
            voice,
          }),
        );
      }
      try {
        const submissions = await Promise.all(began.map((play) => play.submission()));
        const outcomes = await Promise.all(
          began.map(async (play, index) => ({ play, index, event: await play.outcome(submissions[index]!) })),
        );
        const winner = outcomes.find(({ event }) => event.type === 'landing.landed');
        const loser = outcomes.find(({ event }) => event.type === 'submission.conflicted');
        for (const { play } of outcomes) await play.judged(play.found.submissionId!);
        if (!winner || !loser) {
          Object.assign(found, ownFound[0]);
          this.#second = Promise.reject(new Mismatch('there was no change that came second'));
          this.#second.catch(() => undefined);
          throw new Mismatch(outcomes.map(({ play, event }) => `${play.agent}: ${event.type}`).join(', '));
        }
        stage.timeline.name(loser.play.taskId, this.reworked.name);
        Object.assign(this.#secondFound, loser.play.found);
        this.#second = this.#rework(stage, loser.play, submissions[loser.index]!);
        this.#second.catch(() => undefined);
        await winner.play.landing(text(winner.event, 'landingId'));
        Object.assign(found, winner.play.found);
        winner.play.author.kill('SIGKILL');
        return `${winner.play.agent} landed first`;
      } catch (error) {
        Object.assign(found, ownFound[0]);
        await Promise.all(began.map((play) => play.end()));
        this.#second ??= Promise.reject(error instanceof Error ? error : new Error(String(error)));
        this.#second.catch(() => undefined);
        throw error;
      }
    },
  };

  readonly reworked: Step = {
    name: 'conflict: reworked',
    expected: 'comes back with the conflicting hunks, is reworked and lands',
    play: async (_stage, found) => {
      try {
        if (this.#second === null) throw new Mismatch('the conflict was not played');
        return await this.#second;
      } finally {
        Object.assign(found, this.#secondFound);
      }
    },
  };

  async #rework(stage: Stage, play: Play, conflictedId: string): Promise<string> {
    try {
      const conflicted = await stage.client.submissions.get(conflictedId);
      const [hunk] = conflicted.conflicts;
      if (!hunk) throw new Mismatch('it came back without the conflicting hunks');
      const conflictedAt = await play.outcome(conflictedId);
      const submissionId = await play.submissionAfter(conflictedAt);
      await play.landed(submissionId);
      return `came back with ${conflicted.conflicts.length} hunk(s) in ${hunk.path}:${hunk.startLine}, reworked and landed`;
    } finally {
      Object.assign(this.#secondFound, play.found);
      await play.end();
    }
  }
}

const tenAtOnce: Step = {
  name: 'ten at once',
  expected: 'ten agents hand in at once; all land, verified on top of one another',
  async play(stage, found) {
    if (!stage.onLedger) throw new NotPlayable('ten verifications of a whole repository would take too long');
    const { journal } = stage;
    const plays = await Promise.all(
      tenAuthors.map((agent, index) => {
        const idea = ideasOfTen[index]!;
        return Play.begin(stage, this, index === 0 ? found : {}, agent, 'honest', `Work of one of ten: ${idea}`, {
          idea,
        });
      }),
    );
    try {
      await Promise.all(plays.map(async (play) => play.landed(await play.submission())));
      const ours = new Set(plays.map((play) => play.taskId));
      // Verified as if others had landed that had not.
      const speculative = journal.count('queue.verifying', ({ taskId, on }) => {
        return typeof taskId === 'string' && ours.has(taskId) && typeof on === 'string';
      });
      if (speculative === 0) throw new Mismatch('all landed, but each waited for the one before it');
      return `all ten landed; ${speculative} verifications stood on work that had not landed yet`;
    } finally {
      await Promise.all(plays.map((play) => play.end()));
    }
  },
};

const rollback: Step = {
  name: 'bad after landing',
  expected: 'rolled back by a verified revert, and the work is queued again',
  async play(stage, found) {
    if (stage.noRollback !== null) throw new NotPlayable(stage.noRollback);
    const { journal, client } = stage;
    const play = await Play.begin(stage, this, found, 'demo-regressor', 'regression', 'Read the newest first', {
      idea: 'initials',
      tableBytes: 100_000,
    });
    try {
      const submissionId = await play.submission();
      // Its author goes home: the task that reopens the work must stay where everybody can see it.
      const landing = await play.landed(submissionId);
      play.author.kill('SIGKILL');
      await journal.firstOf(
        ['landing.post_landing_failed', 'landing.post_landing_passed'],
        (data) => data['landingId'] === landing.id,
        'the check after landing',
      );
      const back = await journal.first(
        'landing.rolled_back',
        (data) => data['landingId'] === landing.id,
        'the rollback',
      );
      const reverting = await client.landings.get(text(back, 'byLandingId'));
      const verification = await client.verifications.get(reverting.verificationId);
      const tree = await stage.treeOf(reverting.commit);
      if (verification.verdict !== 'accepted' || tree !== verification.candidateTree)
        throw new Mismatch(
          `the revert landed without a verification that accepts its tree (${verification.verdict ?? 'none'})`,
        );
      const before = await stage.treeOf(landing.before);
      const after = await client.landings.get(landing.id);
      if (after.state !== 'rolled_back') throw new Mismatch(`the landing is ${after.state} instead of rolled_back`);
      const followUp = after.followUpTaskId === null ? null : await client.tasks.get(after.followUpTaskId);
      if (followUp?.reopens !== play.taskId || followUp.state !== 'queued')
        throw new Mismatch(
          `the follow-up task is ${followUp ? `${followUp.state}, reopens ${followUp.reopens ?? 'nothing'}` : 'missing'}`,
        );
      found.verdict = 'accepted, rolled back';
      return `rolled back by ${reverting.commit.slice(0, 10)} (${verification.score} points${tree === before ? ', the tree is as before' : ''}); ${followUp.id} reopens it`;
    } finally {
      play.author.kill('SIGKILL');
    }
  },
};

/** The attempt of the task that is running now, once its agent is really at work. */
const atWork = async (play: Play): Promise<{ fence: number; instanceId: string }> => {
  const started = await play.stage.journal.first('task.started', sameTask(play.taskId), 'the start of the task');
  await play.author.event((event) => event.type === 'task_started', 30);
  // Well into its thinking, so that the interruption hits the middle.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return { fence: Number(started.data['fence']), instanceId: text(started, 'instanceId') };
};

const acceptedOnce = async (play: Play): Promise<TaskDetail> => {
  const { journal, client } = play.stage;
  await journal.first('task.succeeded', sameTask(play.taskId), 'the end of the task');
  const own = (data: Record<string, unknown>): boolean => data['taskId'] === play.taskId && data['kind'] !== 'revert';
  // What came back because others had landed before was never accepted.
  const handedIn =
    journal.count('submission.received', own) - journal.count('submission.conflicted', sameTask(play.taskId));
  const landed = journal.count('landing.landed', (data) => data['taskId'] === play.taskId && data['kind'] !== 'revert');
  if (handedIn !== 1 || landed !== 1)
    throw new Mismatch(`${handedIn} submissions and ${landed} landings instead of one each`);
  const task = await client.tasks.get(play.taskId);
  const holders = new Set(task.attempts.map((attempt) => attempt.instanceId));
  if (task.attempts.length < 2 || holders.size < 2) throw new Mismatch('the task did not move to another instance');
  return task;
};

const killed: Step = {
  name: 'agent killed',
  expected: 'the task moves to another instance and is accepted once',
  async play(stage, found) {
    const play = await Play.begin(stage, this, found, 'demo-mortal', 'slow', 'Count occurrences', {
      idea: 'repeats',
      seconds: 60,
    });
    try {
      await atWork(play);
      stage.timeline.say(`SIGKILL to ${play.agent} (process ${play.author.pid})`);
      play.author.kill('SIGKILL');
      play.author = play.another();
      await play.landed(await play.submission());
      const task = await acceptedOnce(play);
      const [lost, ...later] = [...task.attempts].sort((left, right) => left.number - right.number);
      if (lost?.outcome !== 'expired')
        throw new Mismatch(`its first attempt is ${lost?.outcome ?? 'missing'} instead of expired`);
      return `attempt 1 expired, accepted once from attempt ${later.at(-1)?.number}`;
    } finally {
      await play.end();
    }
  },
};

const stopped: Step = {
  name: 'agent stopped',
  expected: 'told stale_lease when it wakes up, and changes nothing',
  async play(stage, found) {
    const play = await Play.begin(stage, this, found, 'demo-sleeper', 'slow', 'Add up digits', {
      idea: 'digits',
      seconds: 60,
    });
    const sleeper = play.author;
    try {
      const { fence } = await atWork(play);
      stage.timeline.say(`SIGSTOP to ${play.agent} (process ${sleeper.pid})`);
      sleeper.kill('SIGSTOP');
      play.author = play.another();
      await play.landed(await play.submission());
      stage.timeline.say(`SIGCONT to ${play.agent} (process ${sleeper.pid}), past its lease`);
      sleeper.kill('SIGCONT');
      const told = await sleeper.event(
        (event) =>
          event['taskId'] === play.taskId &&
          (event['outcome'] === 'stale_lease' || event['code'] === 'runtime.stale_lease'),
        60,
      );
      if (told === null) throw new Mismatch('it was not told stale_lease within 60 seconds');
      const answer = await completeUnderFence(stage, play.taskId, fence);
      if (answer !== '409 runtime.stale_lease')
        throw new Mismatch(`a completion under its old fence was answered ${answer}`);
      await acceptedOnce(play);
      return 'told stale_lease; a completion under its old fence is refused with 409; accepted once, from the other instance';
    } finally {
      sleeper.kill('SIGKILL');
      await play.end();
    }
  },
};

/** What the server says to somebody who insists. */
const completeUnderFence = async (stage: Stage, taskId: string, fence: number): Promise<string> => {
  for (let attempt = 0; attempt < 60; attempt += 1) {
    try {
      const response = await fetch(`${stage.client.url}/api/tasks/${taskId}/attempts/${fence}/complete`, {
        method: 'POST',
        headers: { authorization: `Bearer ${stage.agentToken}`, 'content-type': 'application/json' },
        body: '{}',
        signal: AbortSignal.timeout(10_000),
      });
      const body = (await response.json().catch(() => ({}))) as { code?: string };
      if (response.status < 500) return `${response.status} ${body.code ?? ''}`.trim();
    } catch (error) {
      if (error instanceof MusterApiError) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  return 'nothing';
};

export interface Programme {
  /** In the order of the final table. */
  readonly steps: readonly Step[];
  /** Played one after the other within a lane, the lanes side by side; a lane may wait for a step of another. */
  readonly lanes: ReadonlyArray<{ readonly after: Step | null; readonly steps: ReadonlyArray<Step | readonly Step[]> }>;
}

export const programme = (onLedger: boolean): Programme => {
  const conflict = new ConflictPair();
  return {
    steps: [
      honest,
      brokenTest,
      removedTest,
      tampering,
      secret,
      stub,
      conflict.lands,
      conflict.reworked,
      tenAtOnce,
      rollback,
      killed,
      stopped,
    ],
    lanes: [
      // What lands. The bad change comes last and alone, so that nothing else is built on it.
      {
        after: null,
        // Where a verification takes minutes, work that lands beside other work would be verified twice.
        steps: onLedger
          ? [[honest, killed, stopped], conflict.lands, conflict.reworked, tenAtOnce, rollback]
          : [honest, killed, stopped, conflict.lands, conflict.reworked, tenAtOnce, rollback],
      },
      // What is refused, at its leisure beside it. On unknown code there is something to break only after the honest change.
      { after: onLedger ? null : honest, steps: [brokenTest, removedTest, tampering, secret, stub] },
    ],
  };
};
