import { Injectable } from '@nestjs/common';
import { Batcher } from '#platform/batching';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { heartbeatMsFor } from '../domain/lease-rules.ts';
import { beat, type Beat, type BeatAnswer } from '../sql/heartbeats.ts';

const maxItems = 500;
/** Nobody waits for the answer to a heartbeat, and a thousand idle instances are to cost next to nothing: a small part of the time between two. */
const lingerFor = (leaseSeconds: number): number => Math.min(100, heartbeatMsFor(leaseSeconds) / 20);

/** Signs of life of many instances share a statement and a commit. */
@Injectable()
export class Beats {
  private readonly batcher: Batcher<Beat, BeatAnswer>;

  constructor(database: Database, config: Config) {
    this.batcher = new Batcher({
      name: 'heartbeats',
      maxItems,
      lingerMs: lingerFor(config.leaseSeconds),
      repeatable: true,
      run: (items) => beat(database, items, config.leaseSeconds),
    });
  }

  add(one: Beat): Promise<BeatAnswer> {
    return this.batcher.add(one);
  }
}
