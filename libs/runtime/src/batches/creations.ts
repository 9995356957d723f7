import { Injectable } from '@nestjs/common';
import { Ids } from '#kernel';
import { Batcher } from '#platform/batching';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Assignments } from '../dispatch/assignments.ts';
import { DispatchLimits } from '../dispatch/dispatch-limits.ts';
import { Dispatcher, type Places } from '../dispatch/dispatcher.ts';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { silentAfterSeconds } from '../domain/lease-rules.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import type { Claimed } from '../sql/claim.ts';
import { create, type NewTaskRow, type Starts } from '../sql/create.ts';

const maxItems = 1_000;
/** Batches of other teams at the same moment: each takes a connection of the hot verbs, of which there are few. */
const batchesBeside = 2;

type NewTask = NewTaskRow & { readonly teamId: string };
/** A request whose answer is kept in the commit that makes its task. */
export interface Keeping {
  readonly route: string;
  readonly key: string;
  /** Of what was asked: a key that comes with something else is refused. */
  readonly hash: string;
  /** JSON, without the moments, which PostgreSQL knows. */
  readonly answerOf: (taskId: string) => string;
}
export type Creation = Omit<NewTask, 'id' | 'attemptId' | 'traceparent' | 'keep'> & {
  readonly keeping: Keeping | null;
};
export interface CreatedTask {
  readonly id: string;
  readonly at: Date;
}

/** New tasks of many callers share a statement and a commit. Where an agent is free for them and nothing waits, they begin with it. */
@Injectable()
export class Creations {
  private readonly batcher: Batcher<NewTask, CreatedTask | null>;

  constructor(
    database: Database,
    private readonly ids: Ids,
    private readonly config: Config,
    private readonly limits: DispatchLimits,
    private readonly dispatcher: Dispatcher,
    wakeUps: WakeUps,
    assignments: Assignments,
  ) {
    this.batcher = new Batcher({
      name: 'task creations',
      maxItems,
      bytesOf: ({ input, keep }) => input.length + (keep?.length ?? 0),
      // The ids are made before: what a lost connection has committed already is found by them.
      repeatable: true,
      // Who asks has a turn of their own in a batch, and no team waits for the batch of another.
      fairnessKey: ({ teamId, requestedBy }) => `${teamId} ${requestedBy}`,
      beside: { groupOf: (key) => key.slice(0, key.indexOf(' ')), atMost: batchesBeside },
      fullBeside: 1,
      run: async (items) => {
        const places = await this.placesFor(items);
        let started: readonly Claimed[] = [];
        try {
          const created = await create(database, items, places === null ? null : this.startsAt(places, items));
          const { made, first, now, unheard } = created;
          const begun = new Set(created.started.map(({ task_id }) => task_id));
          const lanes = new Set<number>();
          for (const item of items) {
            if (made?.has(item.id) === false || item.notBefore !== null) continue;
            assignments.remember(item.id, item.title, item.input);
            if (!begun.has(item.id)) lanes.add(item.lane);
          }
          started = created.started;
          if (unheard.length > 0) this.dispatcher.giveBack(unheard);
          if (lanes.size > 0) wakeUps.somethingToClaim([...lanes].map((lane) => ({ lane, seq: first })));
          return items.map((item) => (made?.has(item.id) === false ? null : { id: item.id, at: now }));
        } finally {
          places?.give(started);
        }
      },
    });
  }

  /** Null when the team has a task with this idempotency key already, or the request was answered before. */
  add({ keeping, ...creation }: Creation): Promise<CreatedTask | null> {
    const [id, attemptId] = [this.ids.next('task'), this.ids.next('attempt')];
    const keep = keeping === null ? null : keptText(keeping, id);
    return this.batcher.add({ ...creation, id, attemptId, keep, traceparent: currentTraceparent() });
  }

  private async placesFor(items: readonly NewTaskRow[]): Promise<Places | null> {
    const wanted = new Map<number, number>();
    for (const { lane, notBefore } of items) {
      if (notBefore === null) wanted.set(lane, (wanted.get(lane) ?? 0) + 1);
    }
    return wanted.size === 0 ? null : this.dispatcher.placesFor(wanted);
  }

  private startsAt({ instances, byLane, after }: Places, items: readonly NewTaskRow[]): Starts {
    const next = new Map<number, number>();
    const { leaseSeconds } = this.config;
    return {
      lanes: [...after].map(([id, place]) => ({ id, after: place })),
      instances,
      places: items.map(({ lane, notBefore }) => {
        if (notBefore !== null) return -1;
        const turn = next.get(lane) ?? 0;
        next.set(lane, turn + 1);
        return byLane.get(lane)?.[turn] ?? -1;
      }),
      leaseSeconds,
      silentAfterSeconds: silentAfterSeconds(leaseSeconds),
      limitVersion: this.limits.version,
    };
  }
}

const keptText = ({ route, key, hash, answerOf }: Keeping, taskId: string): string =>
  `{"route":${JSON.stringify(route)},"key":${JSON.stringify(key)},"hash":"${hash}","answer":${answerOf(taskId)}}`;
