import { Injectable } from '@nestjs/common';
import { Ids, type Tx } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { handicapOf, silentAfterSeconds } from '../domain/lease-rules.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import {
  claim,
  closeExpired,
  dropEndedOffers,
  lockInstanceForClaim,
  lockParticular,
  lookAtParticular,
  openAttempts,
  type Claimed,
  type HotSql,
  type ParticularCandidate,
} from '../sql/claim.ts';
import type { Lane } from '../sql/lanes.ts';
import { ReadyLanes } from './ready-lanes.ts';

/** Rows of a lane with conditions that are looked at in one round. */
const particularLook = 100;

/** Instances that may take from the same lanes. */
export interface ClaimGroup {
  readonly lanes: readonly Lane[];
  /** Whom each slot of the group goes to, an index into the instances of the claim; the first gets the task that is due first. */
  readonly slots: readonly number[];
}

/** Takes tasks out of their lanes for instances. */
@Injectable()
export class Claims {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly config: Config,
    private readonly ready: ReadyLanes,
  ) {}

  /** For many instances, in one statement. No lane may be in two groups. @param db the transaction's, or the one for statements that commit by themselves */
  async plain(
    instances: readonly InstanceRow[],
    groups: readonly ClaimGroup[],
    db: HotSql = this.database,
  ): Promise<{ claimed: Claimed[]; refused: boolean }> {
    const cursors = new Map<number, { after: number; hints: number }>();
    const wanted = groups.map((group) => ({
      slots: group.slots,
      lanes: group.lanes.map((lane) => {
        const cursor = this.ready.cursorOf(lane.id);
        cursors.set(lane.id, cursor);
        return { id: lane.id, after: cursor.after, handicap: handicapOf(lane.priority), teamId: lane.teamId };
      }),
    }));
    const attemptIds = groups.flatMap((group) => group.slots.map(() => this.ids.next('attempt')));
    if (attemptIds.length === 0) return { claimed: [], refused: false };
    const { claimed, last, refused } = await claim(db, {
      groups: wanted,
      instances,
      attemptIds,
      leaseSeconds: this.config.leaseSeconds,
      silentAfterSeconds: silentAfterSeconds(this.config.leaseSeconds),
      traceparent: currentTraceparent(),
    });
    const taken = new Map<number, number>();
    for (const row of claimed) taken.set(row.lane, (taken.get(row.lane) ?? 0) + 1);
    for (const { lanes, slots } of wanted) {
      const emptied = !refused && lanes.reduce((sum, lane) => sum + (taken.get(lane.id) ?? 0), 0) < slots.length;
      for (const { id } of lanes)
        this.ready.taken(id, { last: last.get(id) ?? null, emptied, hints: cursors.get(id)?.hints ?? 0 });
    }
    return { claimed, refused };
  }

  /** What waits in these lanes under conditions of its own. */
  lookAtParticular(lanes: readonly Lane[], db: Pick<Tx, 'sql'> = this.database): Promise<ParticularCandidate[]> {
    return lookAtParticular(
      db,
      lanes.map((lane) => -lane.id),
      particularLook,
    );
  }

  /** Of what was looked at, what this instance may still have. */
  async particular(
    instance: InstanceRow,
    lanes: readonly Lane[],
    places: readonly { lane: number; seq: number }[],
  ): Promise<Claimed[]> {
    return this.database.transaction(async (tx) => {
      const room = await this.lockedRoom(tx, instance);
      return this.takeParticular(tx, instance, lanes, places.slice(0, room));
    });
  }

  /** For an instance that asks by itself, on any server: as many as it has room for. */
  async forOne(instance: InstanceRow, lanes: readonly Lane[], count: number): Promise<Claimed[]> {
    let head: number | null = null;
    const claimed = await this.database.transaction(async (tx) => {
      head = null;
      const room = Math.min(count, await this.lockedRoom(tx, instance));
      if (room < 1) return [];
      const places = (await this.lookAtParticular(lanes, tx)).filter((one) => suits(one, instance.id)).slice(0, room);
      const particular = await this.takeParticular(tx, instance, lanes, places);
      const left = room - particular.length;
      if (left < 1) return particular;
      const inTransaction: HotSql = {
        hot: (_name, text, params) => tx.sql(text, params),
        appended: (position) => (head = position),
      };
      const slots = Array.from({ length: left }, () => 0);
      const { claimed } = await this.plain([instance], [{ lanes, slots }], inTransaction);
      return [...particular, ...claimed];
    });
    this.database.appended(head);
    return claimed;
  }

  private async lockedRoom(tx: Tx, { id, connection }: InstanceRow): Promise<number> {
    const row = await lockInstanceForClaim(tx, {
      instanceId: id,
      connection,
      silentAfterSeconds: silentAfterSeconds(this.config.leaseSeconds),
    });
    return row === null ? 0 : Math.max(0, roomOf(row) - row.held);
  }

  private async takeParticular(
    tx: Tx,
    instance: InstanceRow,
    lanes: readonly Lane[],
    places: readonly { lane: number; seq: number }[],
  ): Promise<Claimed[]> {
    if (places.length === 0) return [];
    let rows = await lockParticular(tx, { places, instanceId: instance.id });
    const expired = rows.filter((row) => row.expired_fence !== null);
    if (expired.length > 0) {
      const closed = new Set((await closeExpired(tx, expired)).map((row) => row.task_id));
      const left = expired.filter((row) => !closed.has(row.task_id));
      if (left.length > 0) await dropEndedOffers(tx, left);
      rows = rows.filter((row) => row.expired_fence === null || closed.has(row.task_id));
    }
    if (rows.length === 0) return [];
    const claimed = await openAttempts(tx, {
      rows,
      attemptIds: rows.map(() => this.ids.next('attempt')),
      instance,
      leaseSeconds: this.config.leaseSeconds,
    });
    for (const row of claimed) {
      const lane = lanes.find(({ id }) => id === row.lane);
      if (lane === undefined)
        throw new Error(`The task ${row.task_id} is in the lane ${row.lane}, which there is not.`);
      tx.append({
        type: 'task.started',
        teamId: lane.teamId,
        projectId: lane.projectId,
        subject: row.task_id,
        data: {
          taskId: row.task_id,
          attempt: row.number,
          fence: row.fence,
          agent: instance.agent,
          instanceId: instance.id,
        },
      });
    }
    return claimed;
  }
}

/** Tasks at a time: what its process offers, and what its definition allows. */
export const roomOf = (instance: Pick<InstanceRow, 'capacity' | 'limits'>): number =>
  Math.min(instance.capacity, instance.limits.concurrency);

export const suits = (candidate: ParticularCandidate, instanceId: string): boolean =>
  !candidate.avoids.includes(instanceId) && (candidate.keptFor === null || candidate.keptFor === instanceId);
