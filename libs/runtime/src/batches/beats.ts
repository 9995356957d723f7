import { Injectable } from '@nestjs/common';
import { Batcher } from '#platform/batching';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { beat, type Beat, type BeatAnswer } from '../sql/heartbeats.ts';

const maxItems = 500;

/** Signs of life of many instances share a statement and a commit. */
@Injectable()
export class Beats {
  private readonly batcher: Batcher<Beat, BeatAnswer>;

  constructor(database: Database, config: Config) {
    this.batcher = new Batcher({
      name: 'heartbeats',
      maxItems,
      repeatable: true,
      run: (items) => beat(database, items, config.leaseSeconds),
    });
  }

  add(one: Beat): Promise<BeatAnswer> {
    return this.batcher.add(one);
  }
}
