import { Injectable, Logger } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import {
  declaredWork,
  type DeclaredWork,
  type ProjectPolicy,
  type ResolvedFile,
  type VerificationView,
} from '@muster/contracts';
import picomatch from 'picomatch';
import { FindProject, ReadPolicy } from '#messages/projects';
import { FindVerification, RequestVerification } from '#messages/quality';
import { CancelTask, FindTask, SettleSubmittedTask } from '#messages/runtime';
import { Clock, MusterError, type NewEvent } from '#kernel';
import { Config } from '#platform/config';
import { Database, type Transaction } from '#platform/database';
import { Repositories } from '#platform/git';
import { Candidates } from '../candidates.ts';
import { CrashPoints } from '../crash-points.ts';
import { refusingChecks } from '../domain/lessons.ts';
import { placeOf, urgencies } from '../domain/line.ts';
import { pauseAfter } from '../domain/patience.ts';
import { quietSeconds } from '../domain/quiet-hours.ts';
import { forAPerson } from '../domain/review.ts';
import type { SetRow } from '../domain/set.ts';
import {
  approvalOf,
  isFinal,
  resolvedOn,
  submissionColumns,
  type SubmissionRow,
  toolMade,
} from '../domain/submission.ts';
import { OpenConflicts } from '../open-conflicts.ts';
import { LandingLine } from '../landing-line.ts';
import { LandingSets } from '../landing-sets.ts';
import { Resolutions } from '../resolutions.ts';
import { Reviews } from '../reviews.ts';
import { LandSet } from './land-set.ts';
import { EvidenceMismatch, LandSubmission } from './land-submission.ts';
import { SettleSubmission } from './settle-submission.ts';

/** From received to settled with all evidence at hand is eight; a few more for a branch that moves meanwhile. */
const STEPS_AT_ONCE = 20;
/** With the pauses below about twenty minutes of trying before a person is asked. */
const MOST_FAILURES = 24;
/** An event wakes us; this is for the event that we missed. */
const LOOK_AGAIN_SECONDS = 5;
/** What waits for a person or the end of quiet hours is looked at this often: the rules may have changed meanwhile. */
const HELD_SECONDS = 60;
/** Somebody else's rework ends with an event of its own, after which everyone is looked at; this is for the missed one. */
const CONFLICT_SECONDS = 30;

/** What a submission is verified on. */
interface Ground {
  readonly commit: string;
  readonly tree: string;
  /** The head of the branch: the rules are read from there and from nowhere else. */
  readonly landed: string;
  readonly policy: ProjectPolicy;
  /** The submission that `commit` stands for; null: it has landed. */
  readonly on: string | null;
  /** Nothing can come in between any more: the verdict counts. */
  readonly final: boolean;
  readonly withinWindow: boolean;
}

type Head = Pick<Ground, 'commit' | 'tree' | 'landed' | 'policy'>;

interface Changes {
  readonly state?: SubmissionRow['state'];
  readonly verification_id?: string;
  readonly candidate_tree?: string | null;
  readonly candidate_head?: string | null;
  readonly candidate_base?: string | null;
  readonly candidate_on?: string | null;
  readonly strategy?: SubmissionRow['strategy'];
  readonly suspect?: boolean;
  readonly urgency?: number;
  readonly held?: SubmissionRow['held'];
  readonly approved_by?: SubmissionRow['approved_by'];
  readonly rules_paths?: readonly string[];
  readonly review_needs?: SubmissionRow['review_needs'];
  readonly conflicts?: SubmissionRow['conflicts'];
  readonly resolution?: SubmissionRow['resolution'];
  readonly reasons?: readonly string[];
  readonly accepted?: true;
  /** It takes its place in the queue, if it has none. */
  readonly inLine?: boolean;
  readonly unverified?: number;
  /** Seconds until the server looks again by itself; null when nothing is owed any more. */
  readonly wait: number | null;
}

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
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly candidates: Candidates,
    private readonly line: LandingLine,
    private readonly landings: LandSubmission,
    private readonly sets: LandingSets,
    private readonly setLanding: LandSet,
    private readonly settlement: SettleSubmission,
    private readonly conflicts: OpenConflicts,
    private readonly resolutions: Resolutions,
    private readonly reviews: Reviews,
    private readonly config: Config,
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
      const row = await this.find(submissionId);
      if (row === null || !row.pending) return;
      try {
        if ((await this.step(row)) === 'wait') return;
      } catch (error) {
        await this.postpone(row, error);
        return;
      }
    }
  }

  private async step(row: SubmissionRow): Promise<'again' | 'wait'> {
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
  private async consider(row: SubmissionRow): Promise<'again' | 'wait'> {
    const head = await this.headOf(row);
    if (head === null) return await this.end(row, 'failed', [`The branch ${row.branch} is gone.`]);
    const withdrawn = await this.withdrawalOf(row);
    if (withdrawn !== null) return await this.end(row, 'failed', [withdrawn]);
    if (row.held === 'review') return await this.askAboutRules(row, head);
    return await this.tryOn(row, { ...head, on: null, final: true, withinWindow: true });
  }

  /** An agent's change to rules, with which nothing else is wrong: a person answers for it, and then it is verified in their name. */
  private async askAboutRules(row: SubmissionRow, head: Head): Promise<'again' | 'wait'> {
    const refused = await this.refusedBy(row);
    if (refused !== null) return await this.refusedByPerson(row, refused);
    const { missing, approvers } = await this.reviews.stateOf(row, head.policy, head.landed);
    const rules = missing.filter(({ because }) => because === 'rules');
    const [first] = approvers;
    if (rules.length > 0 || first === undefined) {
      await this.heldForReview(row, missing);
      return 'wait';
    }
    const changes = { held: null, approved_by: first, review_needs: missing, candidate_head: null, wait: 0 };
    return (await this.change(row, changes)) ? 'again' : 'wait';
  }

  /** Keeps what is missing with the row, for those who look at it; tells of it when it changes. */
  private async heldForReview(row: SubmissionRow, missing: SubmissionRow['review_needs']): Promise<void> {
    if (row.held === 'review' && JSON.stringify(row.review_needs) === JSON.stringify(missing)) {
      await this.lookAgain(row, HELD_SECONDS);
      return;
    }
    const changes = { held: 'review' as const, review_needs: missing, suspect: row.turn !== null, wait: HELD_SECONDS };
    const written = await this.change(row, changes, (tx) =>
      tx.append(this.event(row, 'queue.held', { branch: row.branch, for: 'review', needs: missing })),
    );
    if (written && row.turn !== null && row.held !== 'review') await this.stir(row);
  }

  /** Somebody who may review said no to this content, and did not take it back. */
  private async refusedBy(row: SubmissionRow): Promise<{ name: string; comment: string | null } | null> {
    const [said] = await this.database.sql<{ name: string; comment: string | null }>(
      `select name, comment from reviews where submission_id = $1 and verdict = 'reject' order by created_at limit 1`,
      [row.id],
    );
    return said ?? null;
  }

  private async refusedByPerson(
    row: SubmissionRow,
    { name, comment }: { name: string; comment: string | null },
  ): Promise<'again' | 'wait'> {
    return await this.end(row, 'rejected', [`${name} looked at it and refused it: ${comment ?? ''}`]);
  }

  /** Makes the candidate, without a checkout, and asks for its verification under the rules of what has landed. */
  private async tryOn(row: SubmissionRow, ground: Ground): Promise<'again' | 'wait'> {
    const { commit: on, tree: base } = ground;
    const wanted = await this.candidates.strategyFor(ground.policy.landing.strategy, row);
    const resolved = ground.final ? toolMade(resolvedOn(row, on)) : [];
    // Commits that were replayed one by one would each need an answer of its own.
    const strategy = resolved.length > 0 && wanted === 'rebase' ? 'squash' : wanted;
    const merged = await this.candidates.tree(row.project_id, strategy, on, row, resolved);
    this.crash.reach('candidate.merged');
    const candidate = { candidate_head: on, candidate_base: base, candidate_on: ground.on, strategy };
    if (!merged.clean) {
      return ground.final
        ? await this.settleOr(row, ground, (why) => this.conflicted(row, merged.conflicts, why))
        : await this.suspect(
            { ...row, ...candidate },
            null,
            merged.conflicts.map(({ path }) => path),
          );
    }
    if (merged.tree === base) {
      return ground.final
        ? await this.end(row, 'rejected', [`${row.branch} already has everything that this change would bring.`])
        : await this.suspect({ ...row, ...candidate }, null, []);
    }
    const verification = await this.commands.execute(
      new RequestVerification({
        teamId: row.team_id,
        projectId: row.project_id,
        purpose: row.kind === 'revert' ? 'revert' : row.turn === null ? 'admission' : 'landing',
        subjectId: row.id,
        candidateTree: merged.tree,
        baseTree: base,
        restoresTree: row.restores_tree,
        rulesCommit: ground.landed,
        approvedBy: approvalOf(row.approved_by),
        declared: await this.declared(row),
        author: row.agent === null ? null : { agent: row.agent, version: row.agent_version },
      }),
    );
    this.crash.reach('candidate.requested');
    const resolution = ground.final ? await this.resolutionOf(row, on, resolved, merged.tree) : row.resolution;
    const changes = {
      ...candidate,
      resolution,
      state: 'verifying' as const,
      verification_id: verification.id,
      candidate_tree: merged.tree,
      suspect: false,
      held: null,
      wait: verification.state === 'finished' ? 0 : LOOK_AGAIN_SECONDS,
    };
    const written = await this.change(row, changes, (tx) => {
      if (resolution !== row.resolution)
        tx.append(this.event(row, 'submission.conflict_resolved', { on, resolved: resolution?.files ?? [] }));
      if (row.turn === null || verification.state === 'finished') return;
      const about = { branch: row.branch, on: ground.on, head: on, verificationId: verification.id };
      tx.append(this.event(row, 'queue.verifying', about));
    });
    this.crash.reach('candidate.recorded');
    if (written && row.turn !== null) {
      if (row.verification_id !== verification.id) await this.dropVerification(row);
      // They stand on what it was before.
      if (row.candidate_tree !== merged.tree || row.suspect) await this.stir(row);
    }
    return written ? 'again' : 'wait';
  }

  /** With what git settled itself, as it is recorded; nobody waits any more for what a tool was asked about another head. */
  private async resolutionOf(
    row: SubmissionRow,
    on: string,
    resolved: readonly ResolvedFile[],
    tree: string,
  ): Promise<SubmissionRow['resolution']> {
    const known = row.resolution;
    if (known !== null && known.on !== on) await this.resolutions.drop(row);
    const identical = (await this.candidates.identicalIn(row.project_id, on, row.commit, tree)).filter(
      ({ path }) => !resolved.some((file) => file.path === path),
    );
    const files = [...resolved, ...identical];
    if (JSON.stringify(files) === JSON.stringify(resolvedOn(row, on))) return known;
    return { on, taskId: known?.on === on ? known.taskId : null, files, why: null };
  }

  /** What the task and the commit say that the work is, and where the task keeps it to. */
  private async declared(row: SubmissionRow): Promise<DeclaredWork> {
    const task = row.task_id === null ? null : await this.queries.execute(new FindTask(row.task_id));
    const parsed = declaredWork.safeParse({
      title: `${task?.title ?? ''}\n${row.message}`.trim().slice(0, 2000),
      paths: task?.input['paths'] ?? null,
    });
    return parsed.success ? parsed.data : declaredWork.parse({ title: row.message.slice(0, 2000) });
  }

  private async weigh(row: SubmissionRow): Promise<'again' | 'wait'> {
    const withdrawn = await this.withdrawalOf(row);
    if (withdrawn !== null) return await this.end(row, 'failed', [withdrawn]);
    const verification = await this.verificationOf(row);
    if (verification === null || verification.candidateTree !== row.candidate_tree) return await this.restart(row);
    const ground = row.turn === null ? null : await this.groundOf(row);
    if (ground !== null && ground !== 'open' && ground.tree !== row.candidate_base) return await this.restart(row);
    if (ground === 'open' || verification.state !== 'finished') {
      await this.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    if (verification.evidence === false) return await this.withoutEvidence(row, verification);
    if (verification.verdict !== 'accepted') {
      const asks = ground === null ? await this.rulesToAskAbout(row, verification) : null;
      if (asks !== null) return (await this.change(row, asks)) ? 'again' : 'wait';
      if (ground === null) return await this.end(row, 'rejected', verification.reasons, verification);
      // Only what has really landed convicts; a neighbour that may never land does not.
      return ground.final && row.candidate_head === ground.commit
        ? await this.eject(row, verification)
        : await this.suspect(row, verification, []);
    }
    return await this.accept(row, verification);
  }

  private async rulesToAskAbout(row: SubmissionRow, verification: VerificationView): Promise<Changes | null> {
    const { policy } = await this.queries.execute(new ReadPolicy(row.project_id));
    const paths = row.kind === 'revert' ? null : forAPerson(verification, policy);
    return paths === null ? null : { state: 'received', held: 'review', rules_paths: paths, wait: 0 };
  }

  private async accept(row: SubmissionRow, verification: VerificationView): Promise<'again' | 'wait'> {
    const task = row.task_id === null ? null : await this.queries.execute(new FindTask(row.task_id));
    if (row.task_id !== null) {
      await this.commands.execute(
        new SettleSubmittedTask(row.task_id, row.id, { kind: 'waiting_landing', ref: row.id }),
      );
      this.crash.reach('accepted.task_told');
    }
    const urgency = urgencies[task?.priority ?? 'normal'];
    const waitsFor = row.turn === null ? await this.waitsForPeople(row) : null;
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
    const written = await this.change(row, changes, (tx) => {
      if (!row.accepted) {
        const about = { verificationId: verification.id, score: verification.score };
        tx.append(this.event(row, 'submission.accepted', about));
      }
      if (row.turn !== null) return;
      if (held === null) tx.append(this.event(row, 'queue.entered', { branch: row.branch, urgency }));
      else tx.append(this.event(row, 'queue.held', { branch: row.branch, for: held, needs: waitsFor?.missing ?? [] }));
    });
    this.crash.reach('accepted.recorded');
    return written && (held === null || held === 'set') ? 'again' : 'wait';
  }

  /** It fails where it stands, and what it stands on has not landed: it keeps its place, and those behind it go round it. */
  private async suspect(
    row: SubmissionRow,
    verification: VerificationView | null,
    paths: readonly string[],
  ): Promise<'again' | 'wait'> {
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
    const written = await this.change(row, changes, (tx) =>
      tx.append(
        this.event(row, 'queue.set_aside', {
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
  private async restart(row: SubmissionRow): Promise<'again' | 'wait'> {
    if (row.turn === null) {
      const again = { state: 'received' as const, candidate_head: null, wait: 0 };
      return (await this.change(row, again)) ? 'again' : 'wait';
    }
    const written = await this.change(row, { state: 'queued', candidate_head: null, suspect: false, wait: 0 }, (tx) =>
      tx.append(this.event(row, 'queue.restarted', { branch: row.branch, was: row.candidate_on })),
    );
    return written ? 'again' : 'wait';
  }

  /**
   * No evidence is no refusal. What was accepted once, or takes something back, keeps its place and is tried again after a
   * pause; at admission, and when the patience is over, a person hears what could not be run.
   */
  private async withoutEvidence(row: SubmissionRow, verification: VerificationView): Promise<'again' | 'wait'> {
    const unverified = row.unverified + 1;
    // It was somebody else's question, and was taken back with them: we ask it ourselves.
    if (verification.subjectId !== row.id && row.unverified === 0) {
      const state = row.turn === null ? 'received' : 'queued';
      return (await this.change(row, { state, candidate_head: null, unverified, wait: 0 })) ? 'again' : 'wait';
    }
    const pause = row.kind === 'revert' || row.accepted ? pauseAfter(unverified) : null;
    if (pause === null) return await this.end(row, 'failed', verification.reasons, verification);
    this.logger.warn(`${row.id} is verified again in ${pause} s: ${verification.reasons.join('; ')}`);
    const state = row.turn === null ? 'received' : 'queued';
    await this.change(row, { state, candidate_head: null, unverified, wait: pause });
    return 'wait';
  }

  /** At the front it lands; behind others it is verified on top of them, as far as the window reaches. */
  private async takeTurn(row: SubmissionRow): Promise<'again' | 'wait'> {
    const withdrawn = await this.withdrawalOf(row);
    if (withdrawn !== null) return await this.end(row, 'failed', [withdrawn]);
    if (row.held === 'conflict') return await this.tryAgain(row);
    const refused = await this.refusedBy(row);
    if (refused !== null) return await this.refusedByPerson(row, refused);
    if (row.held === 'review' && row.turn !== null) return await this.takePlaceAgain(row);
    if (row.turn === null) return await this.awaitRelease(row);
    const ground = await this.groundOf(row);
    if (ground === 'open') {
      await this.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    if (!ground.final) {
      const fresh = row.candidate_head !== null && row.candidate_base === ground.tree;
      if (!fresh && ground.withinWindow) return await this.tryOn(row, ground);
      await this.lookAgain(row, LOOK_AGAIN_SECONDS);
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
        await this.change(row, { held: 'quiet_hours', wait: Math.min(quiet, HELD_SECONDS) }, (tx) =>
          tx.append(this.event(row, 'queue.held', { branch: row.branch, for: 'quiet_hours' })),
        );
      } else await this.lookAgain(row, Math.min(quiet, HELD_SECONDS));
      return 'wait';
    }
    try {
      if ((await this.landings.intend(row, approvers)) !== null) return 'again';
    } catch (error) {
      if (!(error instanceof EvidenceMismatch)) throw error;
      // Evidence that does not fit is never bent: without a head the candidate is made and verified anew, after a pause.
      await this.database.sql(`update submissions set candidate_head = null where id = $1 and step = $2`, [
        row.id,
        row.step,
      ]);
      throw error;
    }
    await this.lookAgain(row, 1);
    return 'wait';
  }

  /** At the front, where it waits until the others of its set are. */
  private async landTogether(row: SubmissionRow, set: SetRow): Promise<'again' | 'wait'> {
    const begun = await this.setLanding.begin(set);
    if (begun === 'waiting') await this.lookAgain(row, 1);
    else this.wake(await this.sets.submissions(set.id), row);
    if (begun === 'stepped_back') await this.stir(row);
    return begun === 'intended' ? 'again' : 'wait';
  }

  /** It waited for somebody else's rework in the same files. Where it fits in now it takes its old place again. */
  private async tryAgain(row: SubmissionRow): Promise<'again' | 'wait'> {
    const head = await this.headOf(row);
    if (head === null) return await this.end(row, 'failed', [`The branch ${row.branch} is gone.`]);
    const resolved = resolvedOn(row, head.commit);
    const merged = await this.candidates.tree(row.project_id, row.strategy, head.commit, row, resolved);
    if (!merged.clean) return await this.settleOr(row, head, (why) => this.conflicted(row, merged.conflicts, why));
    return (await this.change(row, { held: null, candidate_head: null, suspect: false, wait: 0 })) ? 'again' : 'wait';
  }

  /** It had a place when the rules asked for more approvals. With these it takes that place again. */
  private async takePlaceAgain(row: SubmissionRow): Promise<'again' | 'wait'> {
    const head = await this.headOf(row);
    if (head === null) return await this.end(row, 'failed', [`The branch ${row.branch} is gone.`]);
    const { missing } = await this.reviews.stateOf(row, head.policy, head.landed);
    if (missing.length > 0) {
      await this.heldForReview(row, missing);
      return 'wait';
    }
    const changes = { held: null, review_needs: [], candidate_head: null, suspect: false, wait: 0 };
    return (await this.change(row, changes)) ? 'again' : 'wait';
  }

  /** Accepted, but nothing goes into this branch before people have let it: until then it stands in nobody's way. */
  private async awaitRelease(row: SubmissionRow): Promise<'again' | 'wait'> {
    const waitsFor = await this.waitsForPeople(row);
    if (waitsFor?.held === 'review') {
      await this.heldForReview(row, waitsFor.missing);
      return 'wait';
    }
    if (waitsFor?.held === 'set') return await this.gather(row);
    if (waitsFor !== null) {
      if (row.held === 'person') await this.lookAgain(row, HELD_SECONDS);
      else {
        await this.change(row, { held: 'person', review_needs: [], wait: HELD_SECONDS }, (tx) =>
          tx.append(this.event(row, 'queue.held', { branch: row.branch, for: 'person' })),
        );
      }
      return 'wait';
    }
    const written = await this.change(
      row,
      { accepted: true, inLine: true, held: null, review_needs: [], wait: 0 } as const,
      (tx) => tx.append(this.event(row, 'queue.entered', { branch: row.branch, urgency: row.urgency })),
    );
    return written ? 'again' : 'wait';
  }

  /** Ready, and waiting for the others of its set: whoever is the last one takes all of them into their lines. */
  private async gather(row: SubmissionRow): Promise<'again' | 'wait'> {
    const set = await this.sets.of(row);
    if (set === null) return 'again';
    if (row.held !== 'set') {
      const written = await this.change(row, { held: 'set', review_needs: [], wait: HELD_SECONDS }, (tx) =>
        tx.append(this.event(row, 'queue.held', { branch: row.branch, for: 'set', setId: set.id })),
      );
      return written ? 'again' : 'wait';
    }
    switch (await this.sets.gather(set)) {
      case 'failed': {
        const { reasons } = (await this.sets.find(set.id)) ?? set;
        return await this.end(row, 'failed', [...reasons, `It belongs to ${set.id}, of which all lands or none.`]);
      }
      case 'entered':
        this.wake(await this.sets.submissions(set.id), row);
        return 'again';
      case 'waiting':
        await this.lookAgain(row, HELD_SECONDS);
        return 'wait';
    }
  }

  /** Not awaited: their ways are not part of this one's, and the sweep has them too. */
  private wake(rows: readonly SubmissionRow[], except: SubmissionRow): void {
    void (async () => {
      for (const { id } of rows) if (id !== except.id) await this.run(id);
    })().catch((error: unknown) => this.logger.error(`The set of ${except.id} could not be woken: ${String(error)}`));
  }

  /** Approvals come first: who releases a change wants to know that it has them. */
  private async waitsForPeople(
    row: SubmissionRow,
  ): Promise<{ held: 'person' | 'review' | 'set'; missing: SubmissionRow['review_needs'] } | null> {
    const head = row.kind === 'revert' ? null : await this.headOf(row);
    if (head !== null) {
      const { missing } = await this.reviews.stateOf(row, head.policy, head.landed);
      if (missing.length > 0) return { held: 'review', missing };
    }
    if (await this.needsPerson(row)) return { held: 'person', missing: [] };
    return (await this.sets.of(row)) === null ? null : { held: 'set', missing: [] };
  }

  /** A revert was asked for by a person, or by the rules themselves. */
  private async needsPerson(row: SubmissionRow): Promise<boolean> {
    if (row.kind === 'revert' || row.released_by !== null) return false;
    const { policy } = await this.queries.execute(new ReadPolicy(row.project_id));
    const closed = [...policy.landing.protectedBranches, ...this.config.landingProtectedBranches];
    return policy.landing.mode === 'person' || picomatch(closed)(row.branch);
  }

  /**
   * What it has to be verified on now: at the front what has landed, behind others the nearest of them that is expected to land.
   * `open`: that one has no candidate yet.
   */
  private async groundOf(row: SubmissionRow): Promise<Ground | 'open'> {
    const landed = await this.headOf(row);
    const line = await this.line.of(row.project_id, row.branch);
    const place = placeOf(line, row.id);
    if (landed === null || place === null) return 'open';
    const { window } = landed.policy.landing;
    const withinWindow = place.depth < (await this.line.window(row.project_id, row.branch, window));
    const { ahead, front } = place;
    if (ahead === null) return { ...landed, on: null, final: front, withinWindow };
    const { candidate_tree: tree, candidate_head: head } = ahead;
    if (tree === null) return 'open';
    // As long as it stands on the same tree, nothing has to be made.
    if (row.candidate_head !== null && row.candidate_base === tree) {
      return { ...landed, commit: row.candidate_head, tree, on: ahead.id, final: false, withinWindow };
    }
    if (head === null) return 'open';
    const commit = withinWindow ? await this.candidates.keepBase(ahead, tree, head) : head;
    this.crash.reach('queue.base_kept');
    return { ...landed, commit, tree, on: ahead.id, final: false, withinWindow };
  }

  private async headOf(row: SubmissionRow): Promise<Head | null> {
    const project = await this.queries.execute(new FindProject(row.project_id));
    const head = project === null ? null : await this.repositories.resolve(row.project_id, `refs/heads/${row.branch}`);
    if (head === null) return null;
    const { policy } = await this.queries.execute(new ReadPolicy(row.project_id, head));
    return { commit: head, tree: await this.repositories.treeOf(row.project_id, head), landed: head, policy };
  }

  /** Nobody waits for it any more: its slot is for others. */
  private async dropVerification(row: SubmissionRow): Promise<void> {
    const old = await this.verificationOf(row);
    if (old === null || old.state === 'finished' || old.taskId === null || old.subjectId !== row.id) return;
    const [other] = await this.database.sql(
      `select from submissions where verification_id = $1 and id <> $2 and state = 'verifying' limit 1`,
      [old.id, row.id],
    );
    if (other !== undefined) return;
    try {
      await this.commands.execute(new CancelTask(old.taskId, `${row.id} is verified on other ground now.`));
    } catch (error) {
      // It ended meanwhile.
      if (!(error instanceof MusterError) || error.status >= 500) throw error;
    }
  }

  private async land(row: SubmissionRow): Promise<'again' | 'wait'> {
    const landing = row.landing_id === null ? null : await this.landings.find(row.landing_id);
    if (landing === null) throw new Error(`${row.id} is landing without an intent.`);
    if (landing.set_id === null) await this.landings.finish(landing);
    else await this.setLanding.finish(landing.set_id);
    return 'again';
  }

  /** The row's last step: everyone who waits for it hears of it, and its place is free. */
  private async settle(row: SubmissionRow): Promise<'again' | 'wait'> {
    await this.resolutions.drop(row);
    await this.settlement.run(row);
    const set = await this.sets.of(row);
    if (set !== null) await this.sets.wake(set.id);
    await this.change(row, { wait: null });
    this.crash.reach('landing.settled');
    await this.stir(row);
    return 'wait';
  }

  /** Where a tool can settle the conflict, it does, and what it makes is verified like everything else; otherwise it goes to whoever handed it in. */
  private async settleOr(
    row: SubmissionRow,
    { commit: on, policy }: Pick<Ground, 'commit' | 'policy'>,
    otherwise: (unresolved: string | null) => Promise<'again' | 'wait'>,
  ): Promise<'again' | 'wait'> {
    const resolution = await this.resolutions.next(row, on, policy);
    if (resolution === null) return await otherwise(row.resolution?.on === on ? row.resolution.why : null);
    if (resolution === row.resolution) {
      await this.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    const asked = resolution.files === null && resolution.why === null;
    const written = await this.change(row, { resolution, wait: asked ? LOOK_AGAIN_SECONDS : 0 }, (tx) => {
      if (resolution.files !== null)
        tx.append(this.event(row, 'submission.conflict_resolved', { on, resolved: resolution.files }));
    });
    this.crash.reach(asked ? 'resolution.asked' : 'resolution.recorded');
    return written && !asked ? 'again' : 'wait';
  }

  private async conflicted(
    row: SubmissionRow,
    conflicts: SubmissionRow['conflicts'],
    unresolved: string | null,
  ): Promise<'again' | 'wait'> {
    const paths = [...new Set(conflicts.map((hunk) => hunk.path))];
    const before = await this.conflicts.underWay(row, paths);
    if (before !== null) {
      if (row.held === 'conflict') await this.lookAgain(row, CONFLICT_SECONDS);
      else {
        const held = { held: 'conflict' as const, candidate_head: null, suspect: true, wait: CONFLICT_SECONDS };
        const written = await this.change(row, held, (tx) =>
          tx.append(this.event(row, 'queue.held', { branch: row.branch, for: 'conflict', paths, behind: before })),
        );
        if (written && row.turn !== null) await this.stir(row);
      }
      return 'wait';
    }
    // Whoever redoes it may learn from it: a generated file that somebody has written in is one to look at.
    const reasons = unresolved === null ? [] : [`No tool could settle the conflict: ${unresolved}`];
    const end = { state: 'conflicted' as const, held: null, conflicts, reasons, wait: 0 };
    const written = await this.change(row, end, async (tx) => {
      tx.append(this.event(row, 'submission.conflicted', { paths, unresolved }));
      if (row.kind === 'revert') tx.append(rollbackConflicted(row, paths));
      if (row.turn !== null) {
        const nextStep = `Redo it on the head of ${row.branch}, with what both sides wrote in its conflicts, and submit again.`;
        tx.append(await this.ejection(tx, row, { checks: [], paths, log: null, nextStep }));
      }
    });
    this.crash.reach('ejected.recorded');
    return written ? 'again' : 'wait';
  }

  /** It failed on top of what has really landed: it is at fault itself, or together with what landed since it was accepted. */
  private async eject(row: SubmissionRow, verification: VerificationView): Promise<'again' | 'wait'> {
    const checks = refusingChecks(verification);
    const log = `/api/verifications/${verification.id}`;
    const nextStep = `Fetch ${row.branch}, redo it on its head so that ${checks.join(', ') || 'the gate'} passes there, and submit again.`;
    const head = (row.candidate_head ?? '').slice(0, 12);
    const reasons = [
      `It was accepted, but ${row.branch} has moved on: on top of ${head}, which is what has landed, it is refused${checks.length > 0 ? ` by ${checks.join(', ')}` : ''}.`,
      ...verification.reasons,
      `What was seen: GET ${log}. ${nextStep}`,
    ];
    const written = await this.change(row, { state: 'rejected', reasons, wait: 0 }, async (tx) => {
      await this.line.resize(tx, row, 'ejected');
      tx.append(
        this.event(row, 'submission.rejected', { verificationId: verification.id, score: verification.score, reasons }),
        await this.ejection(tx, row, { checks, paths: [], log, nextStep }),
      );
    });
    this.crash.reach('ejected.recorded');
    return written ? 'again' : 'wait';
  }

  /** Who had to leave the queue, for which check, where it can be read, and what to do next. */
  private async ejection(
    tx: Transaction,
    row: SubmissionRow,
    why: { checks: readonly string[]; paths: readonly string[]; log: string | null; nextStep: string },
  ): Promise<NewEvent> {
    const since = await tx.sql<{ id: string }>(
      `select id from landings where project_id = $1 and branch = $2 and state in ('landed', 'rolled_back')
         and landed_at >= (select accepted_at from submissions where id = $3)
       order by landed_at, id limit 50`,
      [row.project_id, row.branch, row.id],
    );
    return this.event(row, 'queue.ejected', {
      branch: row.branch,
      culprit: row.id,
      agent: row.agent,
      landedSinceAccepted: since.map(({ id }) => id),
      ...why,
    });
  }

  private async end(
    row: SubmissionRow,
    state: 'rejected' | 'failed',
    reasons: readonly string[],
    verification: VerificationView | null = null,
  ): Promise<'again' | 'wait'> {
    const written = await this.change(row, { state, reasons, held: null, wait: 0 }, (tx) => {
      const about = { verificationId: verification?.id ?? null, score: verification?.score ?? null, reasons };
      tx.append(this.event(row, 'submission.rejected', about));
      if (row.turn !== null) tx.append(this.event(row, 'queue.left', { branch: row.branch, reasons }));
    });
    this.crash.reach('ejected.recorded');
    return written ? 'again' : 'wait';
  }

  /** Writes if the row is still as it was read. False: somebody else has taken it further. */
  private async change(
    row: SubmissionRow,
    changes: Changes,
    also: (tx: Transaction) => void | Promise<void> = () => undefined,
  ): Promise<boolean> {
    const next = { ...row, ...changes };
    const moved = next.candidate_head !== row.candidate_head;
    return await this.database.transaction(async (tx) => {
      const [written] = await tx.sql<{ id: string }>(
        `update submissions set step = step + 1, state = $3, verification_id = $4, candidate_tree = $5, candidate_head = $6,
           conflicts = $7::jsonb, reasons = $8::jsonb,
           accepted_at = case when $9::boolean then coalesce(accepted_at, muster_now()) else accepted_at end,
           turn = case when $10::boolean then coalesce(turn, nextval('submission_turns')) else turn end,
           next_action_at = muster_now() + make_interval(secs => $11::float8), unverified = $12,
           candidate_base = $13, candidate_on = $14, strategy = $15, suspect = $16, urgency = $17, held = $18,
           candidate_since = case when $19::boolean then muster_now() else candidate_since end,
           approved_by = $20::jsonb, rules_paths = $21::jsonb, review_needs = $22::jsonb, resolution = $23::jsonb,
           last_error = null, updated_at = muster_now()
         where id = $1 and step = $2 returning id`,
        [
          row.id, row.step, next.state, next.verification_id, next.candidate_tree, next.candidate_head,
          JSON.stringify(next.conflicts), JSON.stringify(next.reasons), changes.accepted ?? false, changes.inLine ?? false, changes.wait,
          next.unverified, next.candidate_base, next.candidate_on, next.strategy, next.suspect, next.urgency, next.held, moved,
          next.approved_by && JSON.stringify(next.approved_by), JSON.stringify(next.rules_paths), JSON.stringify(next.review_needs),
          next.resolution && JSON.stringify(next.resolution),
        ], // prettier-ignore
      );
      if (written !== undefined) await also(tx);
      return written !== undefined;
    });
  }

  /** Not a transition: only the moment of the next look. */
  private async lookAgain(row: SubmissionRow, seconds: number): Promise<void> {
    await this.database.sql(
      `update submissions set next_action_at = muster_now() + make_interval(secs => $3::float8)
       where id = $1 and step = $2 and next_action_at is not null`,
      [row.id, row.step, seconds],
    );
  }

  private async postpone(row: SubmissionRow, error: unknown): Promise<void> {
    const why = error instanceof Error ? error.message : String(error);
    this.logger.error(
      `${row.id} (${row.state}) could not go on: ${why}`,
      error instanceof Error ? error.stack : undefined,
    );
    if (row.failures + 1 < MOST_FAILURES) {
      await this.database.sql(
        `update submissions set failures = failures + 1, last_error = $3,
           next_action_at = muster_now() + make_interval(secs => least(60, power(2, least(failures, 6))))
         where id = $1 and step = $2 and next_action_at is not null`,
        [row.id, row.step, why.slice(0, 2000)],
      );
      return;
    }
    if (isFinal(row.state)) await this.change(row, { wait: null });
    // An open intent is never given up on: the branch may have moved already.
    else if (row.state === 'landing') await this.lookAgain(row, 60);
    else await this.end(row, 'failed', [`The server could not process it: ${why.slice(0, 1000)}`]);
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

  private async verificationOf(row: SubmissionRow): Promise<VerificationView | null> {
    return row.verification_id === null ? null : await this.queries.execute(new FindVerification(row.verification_id));
  }

  private async find(submissionId: string): Promise<SubmissionRow | null> {
    const [row] = await this.database.sql<SubmissionRow>(`select ${submissionColumns} from submissions where id = $1`, [
      submissionId,
    ]);
    return row ?? null;
  }

  private event(row: SubmissionRow, type: string, data: Record<string, unknown>): NewEvent {
    return {
      type,
      teamId: row.team_id,
      projectId: row.project_id,
      subject: row.id,
      data: { submissionId: row.id, taskId: row.task_id, ...data },
    };
  }
}

/** A person has to look: what landed on top of it stands in the way of taking it back. */
export const rollbackConflicted = (row: SubmissionRow, paths: readonly string[]): NewEvent => ({
  type: 'landing.rollback_conflicted',
  teamId: row.team_id,
  projectId: row.project_id,
  subject: row.reverts_landing_id,
  priority: 'high',
  data: { landingId: row.reverts_landing_id, submissionId: row.id, paths },
});
