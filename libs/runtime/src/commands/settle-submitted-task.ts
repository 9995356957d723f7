import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Tx } from '#kernel';
import { SettleSubmittedTask } from '#messages/runtime';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { termsOfTasks } from '../dispatch/terms-sweep.ts';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { preferredSeconds } from '../domain/lease-rules.ts';
import type { TaskRow } from '../domain/task-row.ts';
import { TaskUnknown } from '../runtime.errors.ts';
import { failForGood, queueForRework, succeed, wait } from '../sql/outcomes.ts';
import { insertRework, lockTask } from '../sql/tasks.ts';

/** What became of the submission that a task waits for. Told again, or about an older submission, it changes nothing. */
@CommandHandler(SettleSubmittedTask)
export class SettleSubmittedTaskHandler implements ICommandHandler<SettleSubmittedTask> {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly wakeUps: WakeUps,
    private readonly rounds: Rounds,
  ) {}

  async execute(settled: SettleSubmittedTask): Promise<void> {
    const requeued = await this.database.transaction(async (tx) => {
      const task = await lockTask(tx, settled.taskId);
      if (task === null) throw new TaskUnknown(settled.taskId);
      const waits = task.state === 'waiting' && (task.wait_reason === 'verification' || task.wait_reason === 'landing');
      if (!waits || task.submission_id !== settled.submissionId) return false;
      return this.settle(tx, task, settled);
    });
    if (requeued) this.wakeUps.somethingToClaim();
    // What depends on it is told by a statement of its own.
    if (settled.outcome.kind === 'landed') this.rounds.soon(termsOfTasks);
  }

  private async settle(tx: Tx, task: TaskRow, { outcome, submissionId }: SettleSubmittedTask): Promise<boolean> {
    const about = { teamId: task.team_id, projectId: task.project_id, subject: task.id };
    switch (outcome.kind) {
      case 'waiting_landing': {
        if (task.wait_reason === 'landing' && task.wait_ref === outcome.ref) return false;
        await wait(tx, task.id, { reason: 'landing', ref: outcome.ref });
        tx.append({ ...about, type: 'task.waiting', data: { taskId: task.id, reason: 'landing', ref: outcome.ref } });
        return false;
      }
      case 'landed': {
        await succeed(tx, task.id, outcome.output);
        tx.append({
          ...about,
          type: 'task.succeeded',
          data: { taskId: task.id, capability: task.capability, output: outcome.output },
        });
        return false;
      }
      case 'waiting_person': {
        const error = outcome.why;
        const detail = `${error.slice(0, 800)} This is held against nobody; when the cause is mended, queue it again: muster tasks retry ${task.id}`;
        await wait(tx, task.id, { reason: 'person', ref: submissionId, detail, error });
        tx.append({ ...about, type: 'task.waiting', data: { taskId: task.id, reason: 'person', ref: submissionId } });
        return false;
      }
      case 'rework': {
        const round = task.reworks + 1;
        if (!(await insertRework(tx, task.id, { ...outcome.rework, submissionId, round }))) return false;
        if (round > this.config.reworkLimit) {
          const error = `refused ${round} times, the limit of reworks is ${this.config.reworkLimit}: ${outcome.rework.summary}`;
          await failForGood(tx, task.id, task.failures, error);
          tx.append({ ...about, type: 'task.failed', data: { taskId: task.id, capability: task.capability, error } });
          return false;
        }
        await queueForRework(tx, task, { ...outcome.rework, submissionId, round }, round, preferredSeconds);
        tx.append({ ...about, type: 'task.requeued', data: { taskId: task.id, reason: outcome.rework.reason, round } });
        return true;
      }
    }
  }
}
