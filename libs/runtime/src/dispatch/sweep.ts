import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Ids, type Tx } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { afterFailure, offlineAfterSeconds } from '../domain/lease-rules.ts';
import type { TaskRow } from '../domain/task-row.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import { applyFailure, wait } from '../sql/outcomes.ts';
import {
  anythingDue,
  firstExpired,
  firstOverdueInMs,
  isLongExpired,
  isUnwanted,
  markSilentOffline,
  offerExpired,
  overdue,
  passedOver,
  queueDelayed,
  requeueDue,
  sweepLimit,
} from '../sql/sweep.ts';
import { lockTask } from '../sql/tasks.ts';
import { decideDue } from './due-tasks.ts';
import { WakeUps } from './wake-ups.ts';

const expiredLeases = 'expired leases';
/** A lease is offered to others this soon after it has run out; at once where the last look has seen it coming. */
const expiredEveryMs = 250;
const afterExpiryMs = 5;
/** Where many run out one after the other, those of so long are offered together. */
const togetherMs = 25;
const everyMs = 1_000;
/** A look over all open attempts takes at most this share of the time. */
const patience = 20;
/** After so long all of them are looked at again, whatever the last look has seen coming: clocks are set, and definitions change. */
const longestBlindMs = 30_000;
/** Where an earlier look has been is looked at again from this far back: leases are written with clocks that were read earlier. */
const overlapMs = 1_000;
const fromTheStartMs = 30_000;

/**
 * Keeps the promise that nothing is stuck: it acts on what is due. Any number of servers may do so at once; rows that one has
 * locked are skipped by the others.
 */
@Injectable()
export class LeaseSweep implements OnApplicationBootstrap {
  private offeredUntil: Date | null = null;
  private offeredFromStartAt = Number.NEGATIVE_INFINITY;
  /**
   * The last look over all open attempts: when, how long it took, when the first of them will have taken too long, and the least time that anybody connected has
   * had for an attempt since.
   */
  private overdueLook = { at: Number.NEGATIVE_INFINITY, tookMs: 0, firstInMs: 0, shortestMs: Infinity };
  private comes: NodeJS.Timeout | undefined;

  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly wakeUps: WakeUps,
    private readonly rounds: Rounds,
    private readonly ids: Ids,
  ) {}

  onApplicationBootstrap(): void {
    // Wherever tasks are handed out, what ran out is offered: not only while a server for background work is up.
    this.rounds.beginEverywhere(expiredLeases, expiredEveryMs, () => this.offerExpired());
    this.rounds.begin('leases', everyMs, () => this.due());
  }

  /** One pass over everything that is due. */
  async once(): Promise<void> {
    this.offeredUntil = null;
    this.overdueLook.at = Number.NEGATIVE_INFINITY;
    await this.offerExpired();
    await this.due();
  }

  /**
   * Along the index from where the last look ended, so that the entries of attempts that ended long ago are not met again; from
   * the start now and then, for what a clock that was set back has left there.
   */
  private async offerExpired(): Promise<void> {
    const from = performance.now();
    if (from - this.offeredFromStartAt > fromTheStartMs) {
      this.offeredUntil = null;
      this.offeredFromStartAt = from;
    }
    for (let more = true; more;) {
      const after = this.offeredUntil;
      const { now: lookedAt, first, next } = await firstExpired(this.database, after, expiredEveryMs);
      if (next !== null) this.comeWhenItExpires(next.getTime() - lookedAt.getTime());
      if (first === null) {
        this.offeredUntil = new Date(lookedAt.getTime() - overlapMs);
        return;
      }
      const lanes = await this.offer({ after, now: lookedAt });
      if (lanes.length > 0) this.wakeUps.somethingToClaim([...new Set(lanes)].map((lane) => ({ lane: -lane })));
      more = lanes.length === sweepLimit;
      if (more) continue;
      const left = await passedOver(this.database, { after, now: lookedAt });
      this.offeredUntil = new Date(Math.min(lookedAt.getTime() - overlapMs, left?.getTime() ?? Infinity));
    }
  }

  private comeWhenItExpires(inMs: number): void {
    clearTimeout(this.comes);
    this.comes = setTimeout(() => this.rounds.soon(expiredLeases), Math.max(inMs + afterExpiryMs, togetherMs)).unref();
  }

  private async offer(q: { after: Date | null; now: Date }): Promise<number[]> {
    const eventIds = Array.from({ length: sweepLimit }, () => this.ids.next('event'));
    const { leaseSeconds } = this.config;
    try {
      return await offerExpired(this.database, { ...q, leaseSeconds, eventIds, traceparent: currentTraceparent() });
    } catch (error) {
      // The answer was lost, and maybe nothing else: then they are offered, and nobody else tells of them.
      this.wakeUps.somethingToClaim();
      throw error;
    }
  }

  private async due(): Promise<void> {
    const due = await anythingDue(this.database, offlineAfterSeconds(this.config.leaseSeconds));
    if (due.tasks) {
      await this.queueDue();
      await this.endExhausted();
      await this.askAPersonAboutUnwanted();
    }
    await this.endOverdue(due.shortestSeconds);
    if (due.instances) await this.markSilent();
  }

  private async queueDue(): Promise<void> {
    const queued = await this.database.transaction(async (tx) => {
      const retries = await requeueDue(tx);
      for (const task of retries)
        tx.append({
          type: 'task.requeued',
          teamId: task.team_id,
          projectId: task.project_id,
          subject: task.id,
          data: { taskId: task.id, reason: 'retry', round: task.reworks },
        });
      return [...retries, ...(await queueDelayed(tx))];
    });
    if (queued.length > 0)
      this.wakeUps.somethingToClaim(queued.map(({ lane, ready_seq }) => ({ lane, seq: Number(ready_seq) })));
  }

  private async markSilent(): Promise<void> {
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
  }

  /** Expired for a whole further lease with no attempt left: nobody will claim these. */
  private async endExhausted(): Promise<void> {
    await decideDue(this.database, this.wakeUps, 'exhausted', async (tx, taskId) => {
      const task = await lockTask(tx, taskId);
      if (task?.state !== 'running' || !(await isLongExpired(tx, taskId, this.config.leaseSeconds))) return null;
      await this.fail(tx, task, 'expired', 'the lease expired', this.config.retryDelaysSeconds);
      return { taskId, fence: Number(task.fence), reason: 'stale_lease' };
    });
  }

  /**
   * Attempts that take longer than their agent's definition allows, however alive they are. What was open at the last look takes too long no earlier than that
   * look has seen, and what has begun since has the time of an instance that is connected.
   */
  private async endOverdue(shortestSeconds: number | null): Promise<void> {
    const at = performance.now();
    const last = this.overdueLook;
    const shortestMs = (shortestSeconds ?? Infinity) * 1_000;
    last.shortestMs = Math.min(last.shortestMs, shortestMs);
    const noneForMs = Math.min(last.firstInMs, last.shortestMs, longestBlindMs);
    if (at - last.at < Math.max(noneForMs, patience * last.tookMs)) return;
    const { leaseSeconds } = this.config;
    const firstInMs = (await firstOverdueInMs(this.database, { withinMs: longestBlindMs, leaseSeconds })) ?? Infinity;
    const late = firstInMs > 0 ? [] : await overdue(this.database);
    this.overdueLook = { at, tookMs: performance.now() - at, firstInMs, shortestMs };
    for (const { task_id, fence, limits } of late) {
      const ended = await this.database.transaction(async (tx) => {
        const task = await lockTask(tx, task_id);
        if (task?.state !== 'running' || Number(task.fence) !== Number(fence)) return false;
        const seconds = limits?.timeoutSeconds ?? 0;
        await this.fail(
          tx,
          task,
          'failed',
          `timed out after ${seconds} s, the limit of its agent's definition`,
          limits?.retryDelaysSeconds ?? this.config.retryDelaysSeconds,
        );
        return true;
      });
      if (ended) this.wakeUps.attemptEnded({ taskId: task_id, fence: Number(fence), reason: 'timed out' });
    }
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
      // It was told when the lease ran out.
      tellExpiry: false,
    });
  }

  private askAPersonAboutUnwanted(): Promise<void> {
    return decideDue(this.database, this.wakeUps, 'unwanted', async (tx, taskId) => {
      const task = await lockTask(tx, taskId);
      if (task?.state !== 'queued' || !(await isUnwanted(tx, taskId))) return null;
      await wait(tx, task.id, {
        reason: 'person',
        detail: `failed ${task.failures} times, and no other instance took it: ${task.error ?? ''}`.slice(0, 500),
      });
      tx.append({
        type: 'task.waiting',
        teamId: task.team_id,
        projectId: task.project_id,
        subject: task.id,
        data: { taskId: task.id, reason: 'person', ref: null },
      });
      return null;
    });
  }
}
