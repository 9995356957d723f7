import { Injectable } from '@nestjs/common';
import { Ids } from '#kernel';
import { Batcher, later } from '#platform/batching';
import { Database } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import { complete, type Completion } from '../sql/complete.ts';
import type { Holder } from '../sql/leases.ts';

const maxItems = 1_000;

/** Completions of many agents share a statement and a commit. */
@Injectable()
export class Completions {
  private readonly batcher: Batcher<Completion, boolean>;

  constructor(
    database: Database,
    private readonly ids: Ids,
    wakeUps: WakeUps,
  ) {
    this.batcher = new Batcher({
      name: 'completions',
      maxItems,
      bytesOf: ({ data }) => data.length,
      repeatable: true,
      fairnessKey: ({ actorId }) => actorId,
      fullBeside: 1,
      run: async (items) => {
        const { accepted, busy, freed } = await complete(database, items);
        if (freed) wakeUps.somethingToClaim();
        return items.map(({ eventId }) => (busy.has(eventId) ? later : accepted.has(eventId)));
      },
    });
  }

  /** True when it was committed; false when this attempt is not open, or not the holder's. @param output JSON */
  add(by: Holder, capability: string, output: string): Promise<boolean> {
    return this.batcher.add({
      ...by,
      eventId: this.ids.next('event'),
      data: `{"taskId":"${by.taskId}","capability":"${capability}","output":${output}}`,
      traceparent: currentTraceparent(),
    });
  }
}
