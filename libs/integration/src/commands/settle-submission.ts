import { Injectable, Logger } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { TaskView } from '@muster/contracts';
import { FindVerification } from '#messages/quality';
import { FindTask, SettleSubmittedTask, StartTask } from '#messages/runtime';
import { MusterError } from '#kernel';
import { Database } from '#platform/database';
import { Candidates } from '../candidates.ts';
import { CrashPoints } from '../crash-points.ts';
import type { LandingRow } from '../domain/landing.ts';
import { reworkOf } from '../domain/lessons.ts';
import type { SubmissionRow } from '../domain/submission.ts';
import { LandSubmission } from './land-submission.ts';

/** What follows when a submission has come to its end: its task hears of it, and what was rolled back is asked for again. */
@Injectable()
export class SettleSubmission {
  private readonly logger = new Logger(SettleSubmission.name);

  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly candidates: Candidates,
    private readonly landings: LandSubmission,
    private readonly crash: CrashPoints,
  ) {}

  /** Each part of it can be repeated. */
  async run(row: SubmissionRow): Promise<void> {
    const landing = row.landing_id === null ? null : await this.landings.find(row.landing_id);
    if (row.task_id !== null) await this.tell(row, row.task_id, landing);
    if (row.turn !== null) await this.candidates.forget(row.project_id, row.id);
    if (row.state === 'landed' && landing !== null && landing.reverts_landing_id !== null) await this.reopen(landing);
  }

  private async tell(row: SubmissionRow, taskId: string, landing: LandingRow | null): Promise<void> {
    if (row.state === 'landed' && landing !== null) {
      const output = { submissionId: row.id, landingId: landing.id, commit: landing.commit };
      await this.commands.execute(new SettleSubmittedTask(taskId, row.id, { kind: 'landed', output }));
      this.crash.reach('landing.task_told');
      return;
    }
    if (row.state === 'failed') {
      const why = row.reasons.join('\n') || 'The server could not process the submission.';
      await this.commands.execute(new SettleSubmittedTask(taskId, row.id, { kind: 'waiting_person', why }));
    } else {
      const verification =
        row.state === 'rejected' && row.verification_id !== null
          ? await this.queries.execute(new FindVerification(row.verification_id))
          : null;
      const rework = reworkOf(row, verification?.verdict === 'rejected' ? verification : null);
      await this.commands.execute(new SettleSubmittedTask(taskId, row.id, { kind: 'rework', rework }));
    }
    this.crash.reach('ejected.task_told');
  }

  /** The work of a landing that was taken back is asked for again, once. */
  private async reopen(revert: LandingRow): Promise<void> {
    const original = await this.landings.find(revert.reverts_landing_id ?? '');
    if (original === null || original.rolled_back_by !== revert.id) return;
    const task = original.task_id === null ? null : await this.queries.execute(new FindTask(original.task_id));
    const followUp = task === null ? null : await this.startFollowUp(task, original, revert);
    this.crash.reach('rollback.follow_up_started');
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
    this.crash.reach('rollback.announced');
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
}
