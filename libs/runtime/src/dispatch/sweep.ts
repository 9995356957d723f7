import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Tx } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { afterFailure, offlineAfterSeconds } from '../domain/lease-rules.ts';
import type { TaskRow } from '../domain/task-row.ts';
import { applyFailure, wait } from '../sql/outcomes.ts';
import {
  lockExhausted,
  lockOverdue,
  lockUnwanted,
  markSilentOffline,
  noticeExpired,
  requeueDue,
} from '../sql/sweep.ts';
import { WakeUps } from './wake-ups.ts';

const everyMs = 1_000;

/**
 * Keeps the promise that nothing is stuck: each second it acts on what is due. Any number of servers may do so at once;
 * rows that one has locked are skipped by the others.
 */
@Injectable()
export class LeaseSweep implements OnApplicationBootstrap {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly wakeUps: WakeUps,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin('leases', everyMs, () => this.once());
  }

  /** One pass over everything that is due. */
  async once(): Promise<void> {
    const due = await this.database.transaction(async (tx) => {
      const rows = await requeueDue(tx);
      for (const task of rows)
        tx.append({
          ...aboutOf(task),
          type: 'task.requeued',
          data: { taskId: task.id, reason: 'retry', round: task.reworks },
        });
      return rows.length;
    });
    const expired = await this.database.transaction(async (tx) => {
      const rows = await noticeExpired(tx);
      for (const task of rows) {
        tx.append({
          ...aboutOf(task),
          type: 'task.lease_expired',
          data: { taskId: task.id, attempt: task.attempt, fence: Number(task.fence), instanceId: task.instance_id },
        });
      }
      return rows.length;
    });
    await this.endExhausted();
    const overdue = await this.endOverdue();
    await this.askAPersonAboutUnwanted();
    await this.database.transaction(async (tx) => {
      for (const instance of await markSilentOffline(tx, offlineAfterSeconds(this.config.leaseSeconds))) {
        tx.append({
          type: 'instance.offline',
          teamId: instance.team_id,
          projectId: null,
          subject: instance.id,
          priority: 'low',
          data: { instanceId: instance.id, agent: instance.agent, reason: 'no heartbeat' },
        });
      }
    });
    if (due + expired + overdue > 0) this.wakeUps.somethingToClaim();
  }

  private async endExhausted(): Promise<void> {
    const ended = await this.database.transaction(async (tx) => {
      const rows = await lockExhausted(tx, this.config.leaseSeconds);
      for (const task of rows) {
        await this.fail(tx, task, 'expired', 'the lease expired', this.config.retryDelaysSeconds);
      }
      return rows;
    });
    for (const task of ended)
      this.wakeUps.attemptEnded({ taskId: task.id, fence: Number(task.fence), reason: 'stale_lease' });
  }

  private async endOverdue(): Promise<number> {
    const ended = await this.database.transaction(async (tx) => {
      const rows = await lockOverdue(tx);
      for (const task of rows) {
        const seconds = task.limits?.timeoutSeconds ?? 0;
        await this.fail(
          tx,
          task,
          'failed',
          `timed out after ${seconds} s, the limit of its agent's definition`,
          task.limits?.retryDelaysSeconds ?? this.config.retryDelaysSeconds,
        );
      }
      return rows;
    });
    for (const task of ended)
      this.wakeUps.attemptEnded({ taskId: task.id, fence: Number(task.fence), reason: 'timed out' });
    return ended.length;
  }

  private async fail(
    tx: Tx,
    task: TaskRow,
    outcome: 'failed' | 'expired',
    error: string,
    delaysSeconds: readonly number[],
  ): Promise<void> {
    const failures = task.failures + 1;
    await applyFailure(tx, task, {
      outcome,
      error,
      failures,
      next: afterFailure({
        failures,
        maxAttempts: task.max_attempts,
        retryable: true,
        delaysSeconds,
        capability: task.capability,
      }),
      tellExpiry: !task.expiry_told,
    });
  }

  private askAPersonAboutUnwanted(): Promise<void> {
    return this.database.transaction(async (tx) => {
      for (const task of await lockUnwanted(tx)) {
        await wait(tx, task.id, {
          reason: 'person',
          detail: `failed ${task.failures} times, and no other instance took it: ${task.error ?? ''}`.slice(0, 500),
        });
        await tx.sql(`update tasks set avoid_until = null, avoid_then_person = false where id = $1`, [task.id]);
        tx.append({ ...aboutOf(task), type: 'task.waiting', data: { taskId: task.id, reason: 'person', ref: null } });
      }
    });
  }
}

const aboutOf = (task: TaskRow) => ({ teamId: task.team_id, projectId: task.project_id, subject: task.id });
