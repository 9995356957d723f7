import { Injectable, Logger } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { declaredWork, type DeclaredWork, type TaskView, type VerificationView } from '@muster/contracts';
import { FindProject } from '#messages/projects';
import { FindVerification, RequestVerification } from '#messages/quality';
import { FindTask, SettleSubmittedTask, StartTask } from '#messages/runtime';
import { MusterError, type NewEvent } from '#kernel';
import { Database, type Transaction } from '#platform/database';
import { Repositories } from '#platform/git';
import type { LandingRow } from '../domain/landing.ts';
import { reworkOf } from '../domain/lessons.ts';
import { pauseAfter } from '../domain/patience.ts';
import { approvalOf, isFinal, submissionColumns, type SubmissionRow } from '../domain/submission.ts';
import { EvidenceMismatch, LandSubmission } from './land-submission.ts';

/** From received to settled with all evidence at hand is eight; a few more for a branch that moves meanwhile. */
const STEPS_AT_ONCE = 20;
/** With the pauses below about twenty minutes of trying before a person is asked. */
const MOST_FAILURES = 24;
/** An event wakes us; this is for the event that we missed. */
const LOOK_AGAIN_SECONDS = 5;

interface Changes {
  readonly state?: SubmissionRow['state'];
  readonly verification_id?: string;
  readonly candidate_tree?: string;
  readonly candidate_head?: string | null;
  readonly conflicts?: SubmissionRow['conflicts'];
  readonly reasons?: readonly string[];
  readonly accepted?: true;
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
    private readonly landings: LandSubmission,
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
    await Promise.allSettled(this.running.values());
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

  /** Merges with the head of the branch, without a checkout, and asks for the verification of what comes out. */
  private async consider(row: SubmissionRow): Promise<'again' | 'wait'> {
    const project = await this.queries.execute(new FindProject(row.project_id));
    const head = project === null ? null : await this.repositories.resolve(row.project_id, `refs/heads/${row.branch}`);
    if (head === null) return await this.end(row, 'failed', [`The branch ${row.branch} is gone.`]);
    if (await this.isWithdrawn(row)) return await this.end(row, 'failed', ['The task was cancelled.']);

    const merged = await this.repositories.mergeTree(row.project_id, head, row.commit);
    if (!merged.clean) return await this.conflicted(row, merged.conflicts);
    const baseTree = await this.repositories.treeOf(row.project_id, head);
    if (merged.tree === baseTree) {
      return await this.end(row, 'rejected', [`${row.branch} already has everything that this change would bring.`]);
    }
    const verification = await this.commands.execute(
      new RequestVerification({
        teamId: row.team_id,
        projectId: row.project_id,
        purpose: row.kind === 'revert' ? 'revert' : row.state === 'received' ? 'admission' : 'landing',
        subjectId: row.id,
        candidateTree: merged.tree,
        baseTree,
        restoresTree: row.restores_tree,
        rulesCommit: head,
        approvedBy: approvalOf(row.approved_by),
        declared: await this.declared(row),
      }),
    );
    const written = await this.change(row, {
      state: 'verifying',
      verification_id: verification.id,
      candidate_tree: merged.tree,
      candidate_head: head,
      wait: LOOK_AGAIN_SECONDS,
    });
    return written ? 'again' : 'wait';
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
    if (await this.isWithdrawn(row)) return await this.end(row, 'failed', ['The task was cancelled.']);
    const verification = await this.verificationOf(row);
    if (verification === null || verification.candidateTree !== row.candidate_tree) {
      return (await this.change(row, { state: 'received', candidate_head: null, wait: 0 })) ? 'again' : 'wait';
    }
    if (verification.state !== 'finished') {
      await this.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    if (verification.evidence === false) return await this.withoutEvidence(row, verification);
    if (verification.verdict !== 'accepted') return await this.end(row, 'rejected', verification.reasons, verification);
    if (row.task_id !== null) {
      await this.commands.execute(
        new SettleSubmittedTask(row.task_id, row.id, { kind: 'waiting_landing', ref: row.id }),
      );
    }
    const written = await this.change(row, { state: 'queued', accepted: true, unverified: 0, wait: 0 }, (tx) => {
      if (row.accepted) return;
      tx.append(this.event(row, 'submission.accepted', { verificationId: verification.id, score: verification.score }));
    });
    return written ? 'again' : 'wait';
  }

  /**
   * No evidence is no refusal. What was accepted once, or takes something back, keeps its place and is tried again after a
   * pause; at admission, and when the patience is over, a person hears what could not be run.
   */
  private async withoutEvidence(row: SubmissionRow, verification: VerificationView): Promise<'again' | 'wait'> {
    const unverified = row.unverified + 1;
    const pause = row.kind === 'revert' || row.accepted ? pauseAfter(unverified) : null;
    if (pause === null) return await this.end(row, 'failed', verification.reasons, verification);
    this.logger.warn(`${row.id} is verified again in ${pause} s: ${verification.reasons.join('; ')}`);
    const state = row.turn === null ? 'received' : 'queued';
    await this.change(row, { state, candidate_head: null, unverified, wait: pause });
    return 'wait';
  }

  /** In order, a revert before changes: what is broken on the branch is everybody's. */
  private async takeTurn(row: SubmissionRow): Promise<'again' | 'wait'> {
    if (await this.isWithdrawn(row)) return await this.end(row, 'failed', ['The task was cancelled.']);
    const [ahead] = await this.database.sql<{ id: string }>(
      `select id from submissions
       where project_id = $1 and branch = $2 and id <> $3 and turn is not null and state in ('verifying', 'queued', 'landing')
         and (state = 'landing' or (kind = 'change', turn) < ($4::boolean, $5::bigint))
       limit 1`,
      [row.project_id, row.branch, row.id, row.kind === 'change', row.turn],
    );
    if (ahead !== undefined) {
      await this.lookAgain(row, LOOK_AGAIN_SECONDS);
      return 'wait';
    }
    const head = await this.repositories.resolve(row.project_id, `refs/heads/${row.branch}`);
    // Others have landed since: what would land now is another tree, and it is verified as that.
    if (head === null || head !== row.candidate_head) return await this.consider(row);
    try {
      if ((await this.landings.intend(row)) !== null) return 'again';
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

  private async land(row: SubmissionRow): Promise<'again' | 'wait'> {
    const landing = row.landing_id === null ? null : await this.landings.find(row.landing_id);
    if (landing === null) throw new Error(`${row.id} is landing without an intent.`);
    await this.landings.finish(landing);
    return 'again';
  }

  /** Tells the task, opens again what was rolled back, and wakes the next in line. The row's last step. */
  private async settle(row: SubmissionRow): Promise<'again' | 'wait'> {
    const landing = row.landing_id === null ? null : await this.landings.find(row.landing_id);
    if (row.task_id !== null) {
      const task = { taskId: row.task_id, submissionId: row.id };
      if (row.state === 'landed' && landing !== null) {
        const output = { submissionId: row.id, landingId: landing.id, commit: landing.commit };
        await this.commands.execute(
          new SettleSubmittedTask(task.taskId, task.submissionId, { kind: 'landed', output }),
        );
      } else if (row.state === 'failed') {
        const why = row.reasons.join('\n') || 'The server could not process the submission.';
        await this.commands.execute(
          new SettleSubmittedTask(task.taskId, task.submissionId, { kind: 'waiting_person', why }),
        );
      } else {
        const verification = row.state === 'rejected' ? await this.verificationOf(row) : null;
        const rework = reworkOf(row, verification?.verdict === 'rejected' ? verification : null);
        await this.commands.execute(
          new SettleSubmittedTask(task.taskId, task.submissionId, { kind: 'rework', rework }),
        );
      }
    }
    if (row.state === 'landed' && landing !== null && landing.reverts_landing_id !== null) await this.reopen(landing);
    await this.change(row, { wait: null });
    await this.wakeNext(row);
    return 'wait';
  }

  /** The work of a landing that was taken back is asked for again, once. */
  private async reopen(revert: LandingRow): Promise<void> {
    const original = await this.landings.find(revert.reverts_landing_id ?? '');
    if (original === null || original.rolled_back_by !== revert.id) return;
    const task = original.task_id === null ? null : await this.queries.execute(new FindTask(original.task_id));
    const followUp = task === null ? null : await this.startFollowUp(task, original, revert);
    await this.database.transaction(async (tx) => {
      // The event belongs to whoever settles the revert first; `step` of its row decides.
      const [first] = await tx.sql<{ id: string }>(
        `select id from submissions where id = $1 and next_action_at is not null for update`,
        [revert.submission_id],
      );
      if (first === undefined) return;
      await tx.sql(`update landings set follow_up_task_id = $2 where id = $1`, [original.id, followUp?.id ?? null]);
      await tx.sql(
        `update submissions set next_action_at = null, step = step + 1, updated_at = muster_now() where id = $1`,
        [revert.submission_id],
      );
      tx.append({
        type: 'landing.rolled_back',
        teamId: original.team_id,
        projectId: original.project_id,
        subject: original.id,
        priority: 'high',
        data: { landingId: original.id, byLandingId: revert.id, followUpTaskId: followUp?.id ?? null },
      });
    });
  }

  private async startFollowUp(task: TaskView, original: LandingRow, revert: LandingRow): Promise<TaskView | null> {
    try {
      return await this.commands.execute(
        new StartTask({
          teamId: task.teamId,
          projectId: task.projectId,
          capability: task.capability,
          title: `Reopens "${task.title ?? task.capability}"`.slice(0, 300),
          input: task.input,
          priority: task.priority,
          reopens: task.id,
          idempotencyKey: original.id,
          requestedBy: revert.id,
        }),
      );
    } catch (error) {
      // Nobody is assigned any more, or the input no longer fits: the rollback stands, and its event says there is no follow-up.
      if (!(error instanceof MusterError) || error.status >= 500) throw error;
      this.logger.warn(`${original.id} was rolled back, but its work could not be asked for again: ${error.message}`);
      return null;
    }
  }

  private async conflicted(row: SubmissionRow, conflicts: SubmissionRow['conflicts']): Promise<'again' | 'wait'> {
    const paths = [...new Set(conflicts.map((hunk) => hunk.path))];
    const written = await this.change(row, { state: 'conflicted', conflicts, wait: 0 }, (tx) => {
      tx.append(this.event(row, 'submission.conflicted', { paths }));
      if (row.kind === 'revert') tx.append(rollbackConflicted(row, paths));
    });
    return written ? 'again' : 'wait';
  }

  private async end(
    row: SubmissionRow,
    state: 'rejected' | 'failed',
    reasons: readonly string[],
    verification: VerificationView | null = null,
  ): Promise<'again' | 'wait'> {
    const written = await this.change(row, { state, reasons, wait: 0 }, (tx) => {
      const about = { verificationId: verification?.id ?? null, score: verification?.score ?? null, reasons };
      tx.append(this.event(row, 'submission.rejected', about));
    });
    return written ? 'again' : 'wait';
  }

  /** Writes if the row is still as it was read. False: somebody else has taken it further. */
  private async change(
    row: SubmissionRow,
    changes: Changes,
    also: (tx: Transaction) => void = () => undefined,
  ): Promise<boolean> {
    const next = { ...row, ...changes };
    return await this.database.transaction(async (tx) => {
      const [written] = await tx.sql<{ id: string }>(
        `update submissions set step = step + 1, state = $3, verification_id = $4, candidate_tree = $5, candidate_head = $6,
           conflicts = $7::jsonb, reasons = $8::jsonb,
           accepted_at = case when $9::boolean then coalesce(accepted_at, muster_now()) else accepted_at end,
           turn = case when $9::boolean then coalesce(turn, nextval('submission_turns')) else turn end,
           next_action_at = muster_now() + make_interval(secs => $10::float8), unverified = $11,
           last_error = null, updated_at = muster_now()
         where id = $1 and step = $2 returning id`,
        [
          row.id, row.step, next.state, next.verification_id, next.candidate_tree, next.candidate_head,
          JSON.stringify(next.conflicts), JSON.stringify(next.reasons), changes.accepted ?? false, changes.wait,
          next.unverified,
        ], // prettier-ignore
      );
      if (written !== undefined) also(tx);
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

  private async wakeNext(row: SubmissionRow): Promise<void> {
    const [next] = await this.database.sql<{ id: string }>(
      `select id from submissions where project_id = $1 and branch = $2 and state = 'queued' order by kind = 'change', turn limit 1`,
      [row.project_id, row.branch],
    );
    if (next === undefined) return;
    await this.database.sql(`update submissions set next_action_at = muster_now() where id = $1 and state = 'queued'`, [
      next.id,
    ]);
    // Not awaited: the next one's landing is not part of this one's end, and the sweep has it too.
    void this.run(next.id).catch((error: unknown) =>
      this.logger.error(`${next.id} could not be woken: ${String(error)}`),
    );
  }

  private async isWithdrawn(row: SubmissionRow): Promise<boolean> {
    if (row.task_id === null) return false;
    const task = await this.queries.execute(new FindTask(row.task_id));
    return task === null || task.state === 'cancelled';
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
