import { Injectable, Logger } from '@nestjs/common';
import { Ids } from '#kernel';
import { Batcher } from '#platform/batching';
import { Config } from '#platform/config';
import { Database, storable } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import { renewedOf, type Renewed } from '../domain/verb-answers.ts';
import { type Holder, lockByFence } from '../sql/leases.ts';
import { closeAttempt, wait } from '../sql/outcomes.ts';
import { type CostReport, type Overspent, placeOf, report, type ReportRow } from '../sql/reports.ts';

const maxItems = 500;

export type Report =
  | { readonly kind: 'progress'; readonly ratio: number | null; readonly message: string }
  | { readonly kind: 'log'; readonly stream: string; readonly lines: readonly string[] }
  /** `state` is JSON. */
  | { readonly kind: 'checkpoint'; readonly state: string }
  | ({ readonly kind: 'cost' } & CostReport);

interface Item {
  readonly row: ReportRow;
  readonly bytes: number;
}

export interface Reported {
  readonly renewed: Renewed;
  /** True for a cost whose key had not been counted before. */
  readonly counted: boolean;
}

/** What agents say while they work: all that arrives during a commit shares the next one, and its statement. */
@Injectable()
export class Reports {
  private readonly log = new Logger('reports');
  private readonly batcher: Batcher<Item, Reported | null>;

  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly ids: Ids,
    private readonly wakeUps: WakeUps,
  ) {
    this.batcher = new Batcher({
      name: 'reports',
      maxItems,
      bytesOf: ({ bytes }) => bytes,
      fairnessKey: ({ row }) => row.actorId,
      // The others would be told of twice, or stand in the log twice.
      repeatable: (items) => items.every(({ row }) => row.progress === undefined && row.log === undefined),
      run: (items) => this.write(items),
    });
  }

  /** Null: this attempt is not the holder's any more, and nothing was written. */
  add(by: Holder, about: Report): Promise<Reported | null> {
    return this.batcher.add({ row: { ...by, ...this.fieldsOf(about) }, bytes: bytesOf(about) });
  }

  private fieldsOf(about: Report): Omit<ReportRow, keyof Holder> {
    switch (about.kind) {
      case 'progress': {
        const { ratio, message } = about;
        const [eventId, traceparent] = [this.ids.next('event'), currentTraceparent()];
        return { progress: { ratio, message: storable(message), eventId, traceparent } };
      }
      case 'log':
        return { log: { stream: about.stream, lines: about.lines.map(storable) } };
      case 'checkpoint':
        return { checkpoint: about.state };
      case 'cost': {
        const { kind: _kind, key, model, ...cost } = about;
        return { cost: { ...cost, key: storable(key), model: model === null ? null : storable(model) } };
      }
    }
  }

  private async write(items: readonly Item[]): Promise<(Reported | null)[]> {
    const rows = items.map(({ row }) => row);
    const { leaseUntil, counted, overspent } = await report(this.database, rows, this.config.leaseSeconds);
    for (const attempt of overspent)
      await this.stop(attempt).catch((error: unknown) =>
        // What was reported is committed, and nobody may write it again for this.
        this.log.error({
          err: error,
          ...attempt,
          msg: 'An attempt over its budget could not be stopped; its next cost finds it',
        }),
      );
    return rows.map((row, no) => {
      const until = leaseUntil.get(placeOf(row));
      if (until === undefined) return null;
      const { taskId, fence } = row;
      return { renewed: renewedOf({ task_id: taskId, fence, lease_until: until }), counted: counted.has(no) };
    });
  }

  /**
   * A task that spends more than its agent may is stopped, and a person decides. What was spent is committed before: where this
   * process dies in between or cannot, the next word about a cost of the task finds it, also the same one again.
   */
  private async stop({ taskId, fence, budget, spent }: Overspent): Promise<void> {
    const error = `the budget of $${budget} is spent ($${spent}): a person decides whether it goes on`;
    const stopped = await this.database.transaction(async (tx) => {
      const task = await lockByFence(tx, taskId, fence);
      if (task === null) return false;
      await closeAttempt(tx, { taskId, outcome: 'failed', error });
      await wait(tx, taskId, { reason: 'person', detail: error, error, failures: task.failures + 1 });
      const about = { teamId: task.team_id, projectId: task.project_id, subject: taskId };
      tx.append(
        { ...about, type: 'task.attempt_failed', data: { taskId, attempt: task.attempt, fence, error, retryAt: null } },
        { ...about, type: 'task.waiting', data: { taskId, reason: 'person', ref: null } },
      );
      return true;
    });
    if (stopped) this.wakeUps.attemptEnded({ taskId, fence, reason: error });
  }
}

function bytesOf(about: Report): number {
  switch (about.kind) {
    case 'log':
      return about.lines.reduce((sum, line) => sum + line.length, 0);
    case 'checkpoint':
      return about.state.length;
    case 'progress':
      return about.message.length;
    case 'cost':
      return about.key.length;
  }
}
