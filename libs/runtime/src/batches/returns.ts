import { Injectable } from '@nestjs/common';
import { Ids } from '#kernel';
import { Batcher, later } from '#platform/batching';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { afterFailure, releasePauseSeconds } from '../domain/lease-rules.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import type { Ended } from '../domain/verb-answers.ts';
import type { Holder } from '../sql/leases.ts';
import { failingOf, type Return, returnTasks } from '../sql/return.ts';

const maxItems = 500;

interface Item {
  readonly by: Holder;
  readonly outcome: 'failed' | 'released';
  readonly error: string;
  readonly traceparent: string | null;
}

/**
 * Tasks that come back: given back, or failed and due for another try. Those of many agents share a statement and a commit. A failure
 * after which something else than waiting is next (another instance, a person, the end) is told apart here and done in a transaction of its own.
 */
@Injectable()
export class Returns {
  private readonly batcher: Batcher<Item, Ended | null>;

  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly config: Config,
    private readonly wakeUps: WakeUps,
  ) {
    this.batcher = new Batcher({
      name: 'returns',
      maxItems,
      bytesOf: ({ error }) => error.length,
      fairnessKey: ({ by }) => by.actorId,
      run: (items) => this.write(items),
    });
  }

  /** Null: nothing was done. This attempt is not open, or not the holder's, or it is not for waiting that its task is next. */
  add(by: Holder, outcome: Item['outcome'], error: string): Promise<Ended | null> {
    return this.batcher.add({ by, outcome, error, traceparent: currentTraceparent() });
  }

  private async write(items: readonly Item[]): Promise<(Ended | null | typeof later)[]> {
    const delays = await this.delaysOf(items);
    const returns = new Map<Item, Return>();
    for (const item of items) {
      const afterSeconds = item.outcome === 'released' ? null : delays.get(item);
      if (afterSeconds === undefined) continue;
      const { by, outcome, error, traceparent } = item;
      const waitingEventId = afterSeconds === null ? null : this.ids.next('event');
      const eventId = this.ids.next('event');
      returns.set(item, { ...by, outcome, error, afterSeconds, eventId, waitingEventId, traceparent });
    }
    if (returns.size === 0) return items.map(() => null);
    const { retryAt, busy, lanes } = await returnTasks(this.database, [...returns.values()], releasePauseSeconds);
    if (lanes.length > 0) this.wakeUps.somethingToClaim(lanes.map((lane) => ({ lane })));
    return items.map((item): Ended | null | typeof later => {
      const { taskId, fence, eventId } = returns.get(item) ?? {};
      if (eventId !== undefined && busy.has(eventId)) return later;
      const at = eventId === undefined ? undefined : retryAt.get(eventId);
      if (taskId === undefined || fence === undefined || at === undefined) return null;
      return { taskId, fence, state: at === null ? 'queued' : 'waiting', retryAt: at };
    });
  }

  /** Of those that are tried again by themselves. */
  private async delaysOf(items: readonly Item[]): Promise<ReadonlyMap<Item, number>> {
    const failed = items.filter(({ outcome }) => outcome === 'failed');
    const delays = new Map<Item, number>();
    if (failed.length === 0) return delays;
    const states = await failingOf(
      this.database,
      failed.map(({ by }) => by),
    );
    for (const [place, item] of failed.entries()) {
      const state = states[place];
      if (state === null || state === undefined) continue;
      const next = afterFailure({
        failures: state.failures + 1,
        maxAttempts: state.maxAttempts,
        retryable: true,
        delaysSeconds: state.delaysSeconds ?? this.config.retryDelaysSeconds,
        capability: state.capability,
      });
      if (next.kind === 'retry') delays.set(item, next.afterSeconds);
    }
    return delays;
  }
}
