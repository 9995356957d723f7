import { Injectable } from '@nestjs/common';
import type { Tx } from '#kernel';
import { Batcher } from '#platform/batching';
import { Config } from '#platform/config';
import { Database, storable } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { maxLogLines } from '../domain/lease-rules.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import { renewedOf, type Renewed } from '../domain/verb-answers.ts';
import type { Holder } from '../sql/leases.ts';
import { closeAttempt, wait } from '../sql/outcomes.ts';
import {
  type CostReport,
  type HeldRow,
  renewAll,
  writeCheckpoints,
  writeCosts,
  type WrittenCosts,
  writeLogs,
  writeProgress,
} from '../sql/reports.ts';
import { taskById } from '../sql/tasks.ts';

const maxItems = 500;

export type Report =
  | { readonly kind: 'progress'; readonly ratio: number | null; readonly message: string }
  | { readonly kind: 'log'; readonly stream: string; readonly lines: readonly string[] }
  /** `state` is JSON. */
  | { readonly kind: 'checkpoint'; readonly state: string }
  | ({ readonly kind: 'cost' } & Omit<CostReport, 'taskId' | 'fence'>);

interface Item {
  readonly by: Holder;
  readonly report: Report;
  readonly traceparent: string | null;
}

export interface Reported {
  readonly renewed: Renewed;
  /** True for a cost whose key had not been counted before. */
  readonly counted: boolean;
}

interface StoppedAttempt {
  readonly taskId: string;
  readonly fence: number;
  readonly reason: string;
}

/** What agents say while they work: all that arrives during a commit shares the next one, with a statement for each kind. */
@Injectable()
export class Reports {
  private readonly batcher: Batcher<Item, Reported | null>;

  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly wakeUps: WakeUps,
  ) {
    this.batcher = new Batcher({
      name: 'reports',
      maxItems,
      bytesOf: ({ report }) => bytesOf(report),
      fairnessKey: ({ by }) => by.actorId,
      run: (items) => this.write(items),
    });
  }

  /** Null: this attempt is not the holder's any more, and nothing was written. */
  add(by: Holder, report: Report): Promise<Reported | null> {
    return this.batcher.add({ by, report, traceparent: currentTraceparent() });
  }

  private async write(items: readonly Item[]): Promise<(Reported | null)[]> {
    const { answers, stopped } = await this.database.hotTransaction(async (tx) => {
      const holders = new Map(items.map(({ by }) => [placeOf(by), by]));
      const rows = await renewAll(tx, [...holders.values()], this.config.leaseSeconds);
      const renewed = new Map(
        rows.map((row) => [placeOf({ taskId: row.task_id, fence: row.fence, actorId: row.holder_id }), row]),
      );
      const held = items.flatMap((item) => {
        const row = renewed.get(placeOf(item.by));
        return row === undefined ? [] : [{ item, row }];
      });

      const progress = held.flatMap(({ item: { report, traceparent }, row }) =>
        report.kind === 'progress'
          ? [{ taskId: row.task_id, ratio: report.ratio, message: storable(report.message), row, traceparent }]
          : [],
      );
      if (progress.length > 0) await writeProgress(tx, progress);
      for (const { taskId, ratio, message, row, traceparent } of progress)
        tx.append({
          type: 'task.progress',
          teamId: row.team_id,
          projectId: row.project_id,
          subject: taskId,
          priority: 'low',
          data: { taskId, fence: Number(row.fence), ratio, message },
          traceparent,
        });

      const logs = held.flatMap(({ item: { report }, row }) =>
        report.kind === 'log' ? [{ taskId: row.task_id, stream: report.stream, lines: report.lines }] : [],
      );
      if (logs.length > 0) await writeLogs(tx, logs, maxLogLines);

      const checkpoints = held.flatMap(({ item: { report }, row }) =>
        report.kind === 'checkpoint' ? [{ taskId: row.task_id, state: report.state }] : [],
      );
      if (checkpoints.length > 0) await writeCheckpoints(tx, checkpoints);

      const costOf = new Map<Item, CostReport>();
      for (const { item, row } of held) {
        if (item.report.kind !== 'cost') continue;
        const { kind: _kind, ...cost } = item.report;
        costOf.set(item, { ...cost, taskId: row.task_id, fence: Number(row.fence) });
      }
      const costs: WrittenCosts =
        costOf.size === 0 ? { counted: new Set(), spent: new Map() } : await writeCosts(tx, [...costOf.values()]);

      return {
        answers: items.map((item): Reported | null => {
          const row = renewed.get(placeOf(item.by));
          if (row === undefined) return null;
          const cost = costOf.get(item);
          return { renewed: renewedOf(row), counted: cost !== undefined && costs.counted.has(cost) };
        }),
        stopped: await stopOverspent(tx, rows, costs),
      };
    });
    for (const attempt of stopped) this.wakeUps.attemptEnded(attempt);
    return answers;
  }
}

function bytesOf(report: Report): number {
  switch (report.kind) {
    case 'log':
      return report.lines.reduce((sum, line) => sum + line.length, 0);
    case 'checkpoint':
      return report.state.length;
    case 'progress':
      return report.message.length;
    case 'cost':
      return report.key.length;
  }
}

const placeOf = ({ taskId, fence, actorId }: Holder): string => `${taskId} ${fence} ${actorId}`;

/** A task that spends more than its agent may is stopped, and a person decides. */
async function stopOverspent(tx: Tx, rows: readonly HeldRow[], { spent }: WrittenCosts): Promise<StoppedAttempt[]> {
  const stopped: StoppedAttempt[] = [];
  for (const held of rows) {
    const budget = held.limits?.costUsd ?? null;
    const usd = spent.get(held.task_id);
    if (usd === undefined || budget === null || usd <= budget) continue;
    const task = await taskById(tx, held.task_id);
    if (task === null) continue;
    const fence = Number(held.fence);
    const error = `the budget of $${budget} is spent ($${usd}): a person decides whether it goes on`;
    await closeAttempt(tx, { taskId: task.id, outcome: 'failed', error });
    await wait(tx, task.id, { reason: 'person', detail: error, error, failures: task.failures + 1 });
    const about = { teamId: task.team_id, projectId: task.project_id, subject: task.id };
    tx.append(
      {
        ...about,
        type: 'task.attempt_failed',
        data: { taskId: task.id, attempt: task.attempt, fence, error, retryAt: null },
      },
      { ...about, type: 'task.waiting', data: { taskId: task.id, reason: 'person', ref: null } },
    );
    stopped.push({ taskId: task.id, fence, reason: error });
  }
  return stopped;
}
