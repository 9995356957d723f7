import { Injectable, Logger } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { VerificationView } from '@muster/contracts';
import { ReadPolicy } from '#messages/projects';
import { FindTask, SettleSubmittedTask } from '#messages/runtime';
import { Clock } from '#kernel';
import { AwaitedPeople } from '../awaited-people.ts';
import { Candidates } from '../candidates.ts';
import { CrashPoints } from '../crash-points.ts';
import { Departures } from '../departures.ts';
import { urgencies } from '../domain/line.ts';
import { pauseAfter } from '../domain/patience.ts';
import { quietSeconds } from '../domain/quiet-hours.ts';
import { forAPerson } from '../domain/review.ts';
import type { SetRow } from '../domain/set.ts';
import { isFinal, resolvedOn, submissionEvent, type SubmissionRow } from '../domain/submission.ts';
import { type Ground, Grounds, type Head } from '../grounds.ts';
import { LandingLine } from '../landing-line.ts';
import { LandingSets } from '../landing-sets.ts';
import { OpenConflicts } from '../open-conflicts.ts';
import { Resolutions } from '../resolutions.ts';
import { Reviews } from '../reviews.ts';
import { type Changes, LOOK_AGAIN_SECONDS, type Next, Submissions } from '../submissions.ts';
import { Trials } from '../trials.ts';
import { LandSet } from './land-set.ts';
import { EvidenceMismatch, LandSubmission } from './land-submission.ts';
import { SettleSubmission } from './settle-submission.ts';

/** From received to settled with all evidence at hand is eight; a few more for a branch that moves meanwhile. */
const STEPS_AT_ONCE = 20;
/** With the pauses below about twenty minutes of trying before a person is asked. */
const MOST_FAILURES = 24;
/** What waits for a person or the end of quiet hours is looked at this often: the rules may have changed meanwhile. */
const HELD_SECONDS = 60;
/** Somebody else's rework ends with an event of its own, after which everyone is looked at; this is for the missed one. */
const CONFLICT_SECONDS = 30;

/**
 * Takes a submission as far as it can go now. Safe to call at any time, from anywhere, any number of times: each step reads
 * the row, does its work outside of a transaction, and writes only if nobody else has written since.
 */
@Injectable()
export class AdvanceSubmission {
  private readonly logger = new Logger(AdvanceSubmission.name);
  private readonly running = new Map<string, Promise<void>>();
  private stopping = false;

  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly submissions: Submissions,
    private readonly grounds: Grounds,
    private readonly trials: Trials,
    private readonly candidates: Candidates,
    private readonly line: LandingLine,
    private readonly people: AwaitedPeople,
    private readonly reviews: Reviews,
    private readonly conflicts: OpenConflicts,
    private readonly resolutions: Resolutions,
    private readonly landings: LandSubmission,
    private readonly sets: LandingSets,
    private readonly setLanding: LandSet,
    private readonly departures: Departures,
    private readonly settlement: SettleSubmission,
    private readonly clock: Clock,
    private readonly crash: CrashPoints,
  ) {}

  /** One at a time for each submission in this process; other processes are held off by `step`. */
  run(submissionId: string): Promise<void> {
    if (this.stopping) return Promise.resolve();
    const turn = (this.running.get(submissionId) ?? Promise.resolve())
      .then(() => this.drive(submissionId))
      .finally(() => {
        if (this.running.get(submissionId) === turn) this.running.delete(submissionId);
      });
    this.running.set(submissionId, turn);
    return turn;
  }

  /** Takes up nothing more and waits for what is under way. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.idle();
  }

  /** Until nothing is under way, what was woken meanwhile included. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.allSettled([...this.running.values()]);
  }

  private async drive(submissionId: string): Promise<void> {
    for (let steps = 0; steps < STEPS_AT_ONCE && !this.stopping; steps += 1) {
      const row = await this.submissions.find(submissionId);
      if (row === null || !row.pending) return;
      try {
        if ((await this.step(row)) === 'wait') return;
      } catch (error) {
        await this.postpone(row, error);
        return;
      }
    }
  }

  private async step(row: SubmissionRow): Promise<Next> {
    switch (row.state) {
      case 'received':
        return await this.consider(row);
      case 'verifying':
        return await this.weigh(row);
      case 'queued':
        return await this.takeTurn(row);
      case 'landing':
        return await this.land(row);
      case 'landed':
      case 'rejected':
      case 'conflicted':
      case 'failed':
        return await this.settle(row);
    }
  }

  /** At admission: merged with what has landed, and verified as that. */
  private async consider(row: SubmissionRow): Promise<Next> {
    const head = await this.grounds.headOf(row);
    if (head === null) return await this.departures.end(row, 'failed', [`The branch ${row.branch} is gone.`]);
    const withdrawn = await this.withdrawalOf(row);
    if (withdrawn !== null) return await this.departures.end(row, 'failed', [withdrawn]);
    if (row.held === 'review') return await this.askAboutRules(row, head);
    return await this.tryOn(row, { ...head, on: null, final: true, withinWindow: true });
  }

  /** An agent's change to rules, with which nothing else is wrong: a person answers for it, and then it is verified in their name. */
  private async askAboutRules(row: SubmissionRow, head: Head): Promise<Next> {
    const refused = await this.people.refusalOf(row);
    if (refused !== null) return await this.departures.refusedByPerson(row, refused);
    const { missing, approvers } = await this.reviews.stateOf(row, head.policy, head.landed);
    const rules = missing.filter(({ because }) => because === 'rules');
    const [first] = approvers;
    if (rules.length > 0 || first === undefined) {
      await this.heldForReview(row, missing);
      return 'wait';
    }
    const changes = { held: null, approved_by: first, review_needs: missing, candidate_head: null, wait: 0 };
    return (await this.submissions.change(row, changes)) ? 'again' : 'wait';
  }

  /** Keeps what is missing with the row, for those who look at it; tells of it when it changes. */
  private async heldForReview(row: SubmissionRow, missing: SubmissionRow['review_needs']): Promise<void> {
    if (row.held === 'review' && JSON.stringify(row.review_needs) === JSON.stringify(missing)) {
      await this.submissions.lookAgain(row, HELD_SECONDS);
      return;
    }
    const changes = { held: 'review' as const, review_needs: missing, suspect: row.turn !== null, wait: HELD_SECONDS };
    const written = await this.submissions.change(row, changes, (tx) =>
      tx.append(submissionEvent(row, 'queue.held', { branch: row.branch, for: 'review', needs: missing })),
    );
    if (written && row.turn !== null && row.held !== 'review') await this.stir(row);
  }

  /** Its candidate on this ground is made and asked about, unless it does not fit there. */
  private async tryOn(row: SubmissionRow, ground: Ground): Promise<Next> {
    const trial = await this.trials.begin(row, ground);
    switch (trial.outcome) {
      case 'asked':
        // They stand on what it was before.
        if (trial.moved) await this.stir(row);
        return trial.written ? 'again' : 'wait';
      case 'conflicted': {
        const { conflicts, candidate } = trial;
        if (ground.final) return await this.settleOr(row, ground, (why) => this.conflicted(row, conflicts, why));
        const paths = conflicts.map(({ path }) => path);
        return await this.suspect({ ...row, ...candidate }, null, paths);
      }
      case 'nothing_new':
        return ground.final
          ? await this.departures.end(row, 'rejected', [
              `${row.branch} already has everything that this change would bring.`,
            ])
          : await this.suspect({ ...row, ...trial.candidate }, null, []);
    }
  }

  private async weigh(row: SubmissionRow): Promise<Next> {
    const withdrawn = await this.withdrawalOf(row);
    if (withdrawn !== null) return await this.departures.end(row, 'failed', [withdrawn]);
    const verification = await this.trials.verificationOf(row);
    if (verification === null || verification.candidateTree !== row.candidate_tree) return await this.restart(row);
    const ground = row.turn === null ? null : await this.grounds.of(row);
    if (ground !== null && ground !== 'open' && ground.tree !== row.candidate_base) return await this.restart(row);
    if (ground === 'open' || verification.state !== 'finished') {
      await this.submissions.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    if (verification.evidence === false) return await this.withoutEvidence(row, verification);
    if (verification.verdict !== 'accepted') {
      const asks = ground === null ? await this.rulesToAskAbout(row, verification) : null;
      if (asks !== null) return (await this.submissions.change(row, asks)) ? 'again' : 'wait';
      if (ground === null) return await this.departures.end(row, 'rejected', verification.reasons, verification);
      // Only what has really landed convicts; a neighbour that may never land does not.
      return ground.final && row.candidate_head === ground.commit
        ? await this.departures.eject(row, verification)
        : await this.suspect(row, verification, []);
    }
    return await this.accept(row, verification);
  }

  private async rulesToAskAbout(row: SubmissionRow, verification: VerificationView): Promise<Changes | null> {
    const { policy } = await this.queries.execute(new ReadPolicy(row.project_id));
    const paths = row.kind === 'revert' ? null : forAPerson(verification, policy);
    return paths === null ? null : { state: 'received', held: 'review', rules_paths: paths, wait: 0 };
  }

  private async accept(row: SubmissionRow, verification: VerificationView): Promise<Next> {
    const task = row.task_id === null ? null : await this.queries.execute(new FindTask(row.task_id));
    if (row.task_id !== null) {
      await this.commands.execute(
        new SettleSubmittedTask(row.task_id, row.id, { kind: 'waiting_landing', ref: row.id }),
      );
      this.crash.reach('accepted.task_told');
    }
    const urgency = urgencies[task?.priority ?? 'normal'];
    const waitsFor = row.turn === null ? await this.people.before(row) : null;
    const held = waitsFor?.held ?? null;
    const changes = {
      state: 'queued' as const,
      accepted: true as const,
      inLine: held === null,
      held,
      review_needs: waitsFor?.missing ?? [],
      urgency,
      suspect: false,
      unverified: 0,
      wait: held === null || held === 'set' ? 0 : HELD_SECONDS,
    };
    const written = await this.submissions.change(row, changes, (tx) => {
      if (!row.accepted) {
        const about = { verificationId: verification.id, score: verification.score };
        tx.append(submissionEvent(row, 'submission.accepted', about));
      }
      if (row.turn !== null) return;
      if (held === null) tx.append(submissionEvent(row, 'queue.entered', { branch: row.branch, urgency }));
      else
        tx.append(
          submissionEvent(row, 'queue.held', { branch: row.branch, for: held, needs: waitsFor?.missing ?? [] }),
        );
    });
    this.crash.reach('accepted.recorded');
    return written && (held === null || held === 'set') ? 'again' : 'wait';
  }

  /** It fails where it stands, and what it stands on has not landed: it keeps its place, and those behind it go round it. */
  private async suspect(
    row: SubmissionRow,
    verification: VerificationView | null,
    paths: readonly string[],
  ): Promise<Next> {
    const { candidate_head, candidate_base, candidate_on, strategy } = row;
    const changes = {
      state: 'queued' as const,
      suspect: true,
      candidate_head,
      candidate_base,
      candidate_on,
      strategy,
      candidate_tree: verification === null ? null : row.candidate_tree,
      unverified: 0,
      wait: LOOK_AGAIN_SECONDS,
    };
    const written = await this.submissions.change(row, changes, (tx) =>
      tx.append(
        submissionEvent(row, 'queue.set_aside', {
          branch: row.branch,
          on: candidate_on,
          verificationId: verification?.id ?? null,
          paths,
          reasons: verification?.reasons ?? [],
        }),
      ),
    );
    if (written) await this.stir(row);
    return 'wait';
  }

  /** What it was verified on is not what it stands on any more. */
  private async restart(row: SubmissionRow): Promise<Next> {
    if (row.turn === null) {
      const again = { state: 'received' as const, candidate_head: null, wait: 0 };
      return (await this.submissions.change(row, again)) ? 'again' : 'wait';
    }
    const written = await this.submissions.change(
      row,
      { state: 'queued', candidate_head: null, suspect: false, wait: 0 },
      (tx) => tx.append(submissionEvent(row, 'queue.restarted', { branch: row.branch, was: row.candidate_on })),
    );
    return written ? 'again' : 'wait';
  }

  /**
   * No evidence is no refusal. What was accepted once, or takes something back, keeps its place and is tried again after a
   * pause; at admission, and when the patience is over, a person hears what could not be run.
   */
  private async withoutEvidence(row: SubmissionRow, verification: VerificationView): Promise<Next> {
    const unverified = row.unverified + 1;
    // It was somebody else's question, and was taken back with them: we ask it ourselves.
    if (verification.subjectId !== row.id && row.unverified === 0) {
      const state = row.turn === null ? 'received' : 'queued';
      return (await this.submissions.change(row, { state, candidate_head: null, unverified, wait: 0 }))
        ? 'again'
        : 'wait';
    }
    const pause = row.kind === 'revert' || row.accepted ? pauseAfter(unverified) : null;
    if (pause === null) return await this.departures.end(row, 'failed', verification.reasons, verification);
    this.logger.warn(`${row.id} is verified again in ${pause} s: ${verification.reasons.join('; ')}`);
    const state = row.turn === null ? 'received' : 'queued';
    await this.submissions.change(row, { state, candidate_head: null, unverified, wait: pause });
    return 'wait';
  }

  /** At the front it lands; behind others it is verified on top of them, as far as the window reaches. */
  private async takeTurn(row: SubmissionRow): Promise<Next> {
    const withdrawn = await this.withdrawalOf(row);
    if (withdrawn !== null) return await this.departures.end(row, 'failed', [withdrawn]);
    if (row.held === 'conflict') return await this.tryAgain(row);
    const refused = await this.people.refusalOf(row);
    if (refused !== null) return await this.departures.refusedByPerson(row, refused);
    if (row.held === 'review' && row.turn !== null) return await this.takePlaceAgain(row);
    if (row.turn === null) return await this.awaitRelease(row);
    const ground = await this.grounds.of(row);
    if (ground === 'open') {
      await this.submissions.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    if (!ground.final) {
      const fresh = row.candidate_head !== null && row.candidate_base === ground.tree;
      if (!fresh && ground.withinWindow) return await this.tryOn(row, ground);
      await this.submissions.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    // What would land now is another tree, or something that failed elsewhere: it is verified as what it is.
    if (row.candidate_head !== ground.commit || row.suspect) return await this.tryOn(row, ground);
    // The rules are those of now: who entered the line under others may need somebody more.
    const { missing, approvers } = await this.reviews.stateOf(row, ground.policy, ground.landed);
    if (missing.length > 0) {
      await this.heldForReview(row, missing);
      return 'wait';
    }
    const set = await this.sets.of(row);
    if (set !== null) return await this.landTogether(row, set);
    const quiet = row.kind === 'revert' ? 0 : quietSeconds(this.clock.now(), ground.policy.landing.quietHours);
    if (quiet > 0) {
      if (row.held === null) {
        await this.submissions.change(row, { held: 'quiet_hours', wait: Math.min(quiet, HELD_SECONDS) }, (tx) =>
          tx.append(submissionEvent(row, 'queue.held', { branch: row.branch, for: 'quiet_hours' })),
        );
      } else await this.submissions.lookAgain(row, Math.min(quiet, HELD_SECONDS));
      return 'wait';
    }
    try {
      if ((await this.landings.intend(row, approvers)) !== null) return 'again';
    } catch (error) {
      if (!(error instanceof EvidenceMismatch)) throw error;
      // Evidence that does not fit is never bent: without a head the candidate is made and verified anew, after a pause.
      await this.submissions.forgetHead(row);
      throw error;
    }
    await this.submissions.lookAgain(row, 1);
    return 'wait';
  }

  /** At the front, where it waits until the others of its set are. */
  private async landTogether(row: SubmissionRow, set: SetRow): Promise<Next> {
    const begun = await this.setLanding.begin(set);
    if (begun === 'waiting') await this.submissions.lookAgain(row, 1);
    else this.wake(await this.sets.submissions(set.id), row);
    if (begun === 'stepped_back') await this.stir(row);
    return begun === 'intended' ? 'again' : 'wait';
  }

  /** It waited for somebody else's rework in the same files. Where it fits in now it takes its old place again. */
  private async tryAgain(row: SubmissionRow): Promise<Next> {
    const head = await this.grounds.headOf(row);
    if (head === null) return await this.departures.end(row, 'failed', [`The branch ${row.branch} is gone.`]);
    const resolved = resolvedOn(row, head.commit);
    const merged = await this.candidates.tree(row.project_id, row.strategy, head.commit, row, resolved);
    if (!merged.clean) return await this.settleOr(row, head, (why) => this.conflicted(row, merged.conflicts, why));
    return (await this.submissions.change(row, { held: null, candidate_head: null, suspect: false, wait: 0 }))
      ? 'again'
      : 'wait';
  }

  /** It had a place when the rules asked for more approvals. With these it takes that place again. */
  private async takePlaceAgain(row: SubmissionRow): Promise<Next> {
    const head = await this.grounds.headOf(row);
    if (head === null) return await this.departures.end(row, 'failed', [`The branch ${row.branch} is gone.`]);
    const { missing } = await this.reviews.stateOf(row, head.policy, head.landed);
    if (missing.length > 0) {
      await this.heldForReview(row, missing);
      return 'wait';
    }
    const changes = { held: null, review_needs: [], candidate_head: null, suspect: false, wait: 0 };
    return (await this.submissions.change(row, changes)) ? 'again' : 'wait';
  }

  /** Accepted, but nothing goes into this branch before people have let it: until then it stands in nobody's way. */
  private async awaitRelease(row: SubmissionRow): Promise<Next> {
    const waitsFor = await this.people.before(row);
    if (waitsFor?.held === 'review') {
      await this.heldForReview(row, waitsFor.missing);
      return 'wait';
    }
    if (waitsFor?.held === 'set') return await this.gather(row);
    if (waitsFor !== null) {
      if (row.held === 'person') await this.submissions.lookAgain(row, HELD_SECONDS);
      else {
        await this.submissions.change(row, { held: 'person', review_needs: [], wait: HELD_SECONDS }, (tx) =>
          tx.append(submissionEvent(row, 'queue.held', { branch: row.branch, for: 'person' })),
        );
      }
      return 'wait';
    }
    const written = await this.submissions.change(
      row,
      { accepted: true, inLine: true, held: null, review_needs: [], wait: 0 } as const,
      (tx) => tx.append(submissionEvent(row, 'queue.entered', { branch: row.branch, urgency: row.urgency })),
    );
    return written ? 'again' : 'wait';
  }

  /** Ready, and waiting for the others of its set: whoever is the last one takes all of them into their lines. */
  private async gather(row: SubmissionRow): Promise<Next> {
    const set = await this.sets.of(row);
    if (set === null) return 'again';
    if (row.held !== 'set') {
      const written = await this.submissions.change(row, { held: 'set', review_needs: [], wait: HELD_SECONDS }, (tx) =>
        tx.append(submissionEvent(row, 'queue.held', { branch: row.branch, for: 'set', setId: set.id })),
      );
      return written ? 'again' : 'wait';
    }
    switch (await this.sets.gather(set)) {
      case 'failed': {
        const { reasons } = (await this.sets.find(set.id)) ?? set;
        return await this.departures.end(row, 'failed', [
          ...reasons,
          `It belongs to ${set.id}, of which all lands or none.`,
        ]);
      }
      case 'entered':
        this.wake(await this.sets.submissions(set.id), row);
        return 'again';
      case 'waiting':
        await this.submissions.lookAgain(row, HELD_SECONDS);
        return 'wait';
    }
  }

  /** Not awaited: their ways are not part of this one's, and the sweep has them too. */
  private wake(rows: readonly SubmissionRow[], except: SubmissionRow): void {
    void (async () => {
      for (const { id } of rows) if (id !== except.id) await this.run(id);
    })().catch((error: unknown) => this.logger.error(`The set of ${except.id} could not be woken: ${String(error)}`));
  }

  private async land(row: SubmissionRow): Promise<Next> {
    const landing = row.landing_id === null ? null : await this.landings.find(row.landing_id);
    if (landing === null) throw new Error(`${row.id} is landing without an intent.`);
    if (landing.set_id === null) await this.landings.finish(landing);
    else await this.setLanding.finish(landing.set_id);
    return 'again';
  }

  /** The row's last step: everyone who waits for it hears of it, and its place is free. */
  private async settle(row: SubmissionRow): Promise<Next> {
    await this.resolutions.drop(row);
    await this.settlement.run(row);
    const set = await this.sets.of(row);
    if (set !== null) await this.sets.wake(set.id);
    await this.submissions.change(row, { wait: null });
    this.crash.reach('landing.settled');
    await this.stir(row);
    return 'wait';
  }

  /** Where a tool can settle the conflict, it does, and what it makes is verified like everything else; otherwise it goes to whoever handed it in. */
  private async settleOr(
    row: SubmissionRow,
    { commit: on, policy }: Pick<Ground, 'commit' | 'policy'>,
    otherwise: (unresolved: string | null) => Promise<Next>,
  ): Promise<Next> {
    const resolution = await this.resolutions.next(row, on, policy);
    if (resolution === null) return await otherwise(row.resolution?.on === on ? row.resolution.why : null);
    if (resolution === row.resolution) {
      await this.submissions.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    const asked = resolution.files === null && resolution.why === null;
    const written = await this.submissions.change(row, { resolution, wait: asked ? LOOK_AGAIN_SECONDS : 0 }, (tx) => {
      if (resolution.files !== null)
        tx.append(submissionEvent(row, 'submission.conflict_resolved', { on, resolved: resolution.files }));
    });
    this.crash.reach(asked ? 'resolution.asked' : 'resolution.recorded');
    return written && !asked ? 'again' : 'wait';
  }

  private async postpone(row: SubmissionRow, error: unknown): Promise<void> {
    const why = error instanceof Error ? error.message : String(error);
    this.logger.error(
      `${row.id} (${row.state}) could not go on: ${why}`,
      error instanceof Error ? error.stack : undefined,
    );
    if (row.failures + 1 < MOST_FAILURES) {
      await this.submissions.putOff(row, why);
      return;
    }
    if (isFinal(row.state)) await this.submissions.change(row, { wait: null });
    // An open intent is never given up on: the branch may have moved already.
    else if (row.state === 'landing') await this.submissions.lookAgain(row, 60);
    else await this.departures.end(row, 'failed', [`The server could not process it: ${why.slice(0, 1000)}`]);
  }

  /** Back to whoever handed it in, unless somebody else is redoing the same files now. */
  private async conflicted(
    row: SubmissionRow,
    conflicts: SubmissionRow['conflicts'],
    unresolved: string | null,
  ): Promise<Next> {
    const paths = [...new Set(conflicts.map((hunk) => hunk.path))];
    const before = await this.conflicts.underWay(row, paths);
    if (before === null) return await this.departures.giveBack(row, conflicts, unresolved);
    if (row.held === 'conflict') {
      await this.submissions.lookAgain(row, CONFLICT_SECONDS);
      return 'wait';
    }
    const held = { held: 'conflict' as const, candidate_head: null, suspect: true, wait: CONFLICT_SECONDS };
    const written = await this.submissions.change(row, held, (tx) =>
      tx.append(submissionEvent(row, 'queue.held', { branch: row.branch, for: 'conflict', paths, behind: before })),
    );
    if (written && row.turn !== null) await this.stir(row);
    return 'wait';
  }

  /** Those behind it look where they stand now. Not awaited: their way is not part of this one's, and the sweep has them too. */
  private async stir(row: SubmissionRow): Promise<void> {
    const ids = await this.line.stir(row.project_id, row.branch, row.id);
    void (async () => {
      for (const id of ids) await this.run(id);
    })().catch((error: unknown) =>
      this.logger.error(`The queue of ${row.branch} could not be woken: ${String(error)}`),
    );
  }

  private async withdrawalOf(row: SubmissionRow): Promise<string | null> {
    if (row.withdrawn !== null || row.task_id === null) return row.withdrawn;
    const task = await this.queries.execute(new FindTask(row.task_id));
    return task === null || task.state === 'cancelled' ? 'The task was cancelled.' : null;
  }
}
