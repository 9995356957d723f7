import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Tx } from '#kernel';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { closeAttempt, dequeue, failForGood } from '../sql/outcomes.ts';
import { dueOf } from '../sql/sweep.ts';
import {
  letDown,
  lookAtDeadlineAgain,
  tellEndedNeed,
  takeEndedNeed,
  tellLater,
  tellRestLater,
} from '../sql/task-terms.ts';
import { lockTask } from '../sql/tasks.ts';
import { decideDue } from './due-tasks.ts';
import { WakeUps, type EndedAttempt } from './wake-ups.ts';

export const termsOfTasks = 'terms of tasks';
const everyMs = 500;
/** Dependants of one task in one transaction. */
const perTransaction = 500;
/** In one round; what is left is due in the next. */
const endedPerRound = 500;
/** What was handed in before the deadline is judged; should it come back afterwards, its time is over. */
const lookAgainSeconds = 30;

/**
 * What happens to tasks because of others, and because of their deadline. Dependants of a task that is completed are queued by the
 * statement that does so; here are the ones that this left over, and those of tasks that landed, failed or were cancelled.
 */
@Injectable()
export class TermsSweep implements OnApplicationBootstrap {
  constructor(
    private readonly database: Database,
    private readonly wakeUps: WakeUps,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin(termsOfTasks, everyMs, () => this.once());
  }

  async once(): Promise<void> {
    const due = await dueOf(this.database, ['deadline', 'dependants']);
    if (due.has('deadline'))
      await decideDue(this.database, this.wakeUps, 'deadline', (tx, taskId) => this.end(tx, taskId));
    if (due.has('dependants')) await this.tellDependants();
  }

  private async tellDependants(): Promise<void> {
    for (let n = 0; n < endedPerRound; n++) {
      const ended = await tellEndedNeed(this.database, perTransaction);
      if (ended === null) return;
      const { id, state } = ended;
      if (state === 'failed' || state === 'cancelled') await this.letAllDown(id, state);
      else this.wakeUps.somethingToClaim();
    }
  }

  private async letAllDown(id: string, state: 'failed' | 'cancelled'): Promise<void> {
    try {
      await this.database.transaction(async (tx) => {
        if (await takeEndedNeed(tx, id)) await this.letDown(tx, id, state);
      });
    } catch (error) {
      // Others are behind it.
      await tellLater(this.database, id, lookAgainSeconds);
      throw error;
    }
  }

  private async letDown(tx: Tx, needsId: string, state: 'failed' | 'cancelled'): Promise<void> {
    const reason = `dependency_${state}: it was to wait for ${needsId}, which is ${state}`;
    const rows = await letDown(tx, { needsId, reason, limit: perTransaction });
    for (const row of rows) {
      const about = { teamId: row.team_id, projectId: row.project_id, subject: row.id };
      if (row.state === 'cancelled') tx.append({ ...about, type: 'task.cancelled', data: { taskId: row.id, reason } });
      else tx.append({ ...about, type: 'task.waiting', data: { taskId: row.id, reason: 'person', ref: needsId } });
    }
    if (rows.length === perTransaction) await tellRestLater(tx, needsId, 0);
  }

  private async end(tx: Tx, taskId: string): Promise<EndedAttempt | null> {
    const task = await lockTask(tx, taskId);
    if (task === null || task.finished_at !== null) return null;
    if (task.state === 'waiting' && (task.wait_reason === 'verification' || task.wait_reason === 'landing')) {
      await lookAtDeadlineAgain(tx, taskId, lookAgainSeconds);
      return null;
    }
    const running = task.state === 'running' && task.fence !== null;
    const error = `deadline_passed: ${running ? 'it was still being worked on' : task.attempt === 0 ? 'it had not been started' : 'it was not done'}`;
    if (running) await closeAttempt(tx, { taskId, outcome: 'cancelled', error });
    else await dequeue(tx, taskId);
    await failForGood(tx, taskId, task.failures, error);
    tx.append({
      type: 'task.failed',
      teamId: task.team_id,
      projectId: task.project_id,
      subject: taskId,
      data: { taskId, capability: task.capability, error, reason: 'deadline_passed' },
    });
    return running ? { taskId, fence: Number(task.fence), reason: error } : null;
  }
}
