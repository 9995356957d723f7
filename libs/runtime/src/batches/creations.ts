import { Injectable } from '@nestjs/common';
import { Ids } from '#kernel';
import { Batcher } from '#platform/batching';
import { Database } from '#platform/database';
import { Assignments } from '../dispatch/assignments.ts';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import { create, type NewTaskRow } from '../sql/create.ts';

const maxItems = 1_000;

export type Creation = Omit<NewTaskRow, 'id' | 'traceparent'>;
export interface CreatedTask {
  readonly id: string;
  readonly at: Date;
}

/** New tasks of many callers share a statement and a commit. */
@Injectable()
export class Creations {
  private readonly batcher: Batcher<NewTaskRow, CreatedTask | null>;

  constructor(
    database: Database,
    private readonly ids: Ids,
    wakeUps: WakeUps,
    assignments: Assignments,
  ) {
    this.batcher = new Batcher({
      name: 'task creations',
      maxItems,
      bytesOf: ({ input }) => input.length,
      // The ids are made before: what a lost connection has committed already is found by them.
      repeatable: true,
      fairnessKey: ({ requestedBy }) => requestedBy,
      run: async (items) => {
        const { made, first, now } = await create(database, items);
        const lanes = new Set<number>();
        for (const item of items) {
          if (made?.has(item.id) === false) continue;
          if (item.notBefore !== null) continue;
          lanes.add(item.lane);
          assignments.remember(item.id, item.title, item.input);
        }
        if (lanes.size > 0) wakeUps.somethingToClaim([...lanes].map((lane) => ({ lane, seq: first })));
        return items.map((item) => (made?.has(item.id) === false ? null : { id: item.id, at: now }));
      },
    });
  }

  /** Null when the team has a task with this idempotency key already. */
  add(creation: Creation): Promise<CreatedTask | null> {
    return this.batcher.add({ ...creation, id: this.ids.next('task'), traceparent: currentTraceparent() });
  }
}
