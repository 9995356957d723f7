import type { InstanceView, InstanceWish } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { Tx } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { ReadInstance } from '../queries/read-instance.ts';
import { InstanceUnknown } from '../runtime.errors.ts';
import { want, type WantedRow } from '../sql/instance-control.ts';
import { ordersTopic } from './instance-orders.ts';
import { WakeUps } from './wake-ups.ts';

const eventTypes: { readonly [Wish in InstanceWish]: string } = {
  run: 'instance.resumed',
  pause: 'instance.paused',
  drain: 'instance.draining',
  stop: 'instance.stopping',
};

/** Writes down what is wanted of an instance; whoever holds its connection tells it. */
@Injectable()
export class InstanceWishes {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly signals: Signals,
    private readonly wakeUps: WakeUps,
  ) {}

  async wish(
    by: Actor,
    instanceId: string,
    wanted: InstanceWish,
    reason: string | null,
    /** What else belongs to it, in the same transaction. */
    also: (tx: Tx, row: WantedRow) => Promise<void> = () => Promise.resolve(),
  ): Promise<InstanceView> {
    await this.database.transaction(async (tx) => {
      const row = await want(tx, { instanceId, wanted, by: by.id, reason });
      if (row === null) throw new InstanceUnknown(instanceId);
      await also(tx, row);
      tx.append({
        type: eventTypes[wanted],
        teamId: row.team_id,
        projectId: null,
        subject: instanceId,
        data: { instanceId, agent: row.agent, by: by.id, reason },
      });
    });
    this.signals.publish(ordersTopic);
    if (wanted === 'run') this.wakeUps.somethingToClaim();
    return this.queries.execute(new ReadInstance(instanceId));
  }
}
