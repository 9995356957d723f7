import { Injectable } from '@nestjs/common';
import { Ids, type Tx } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { LimitBudget } from '../domain/limit-budget.ts';
import { handicapOf, silentAfterSeconds } from '../domain/lease-rules.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import { currentTraceparent } from '../domain/traceparent.ts';
import {
  claim,
  claimEach,
  closeExpired,
  dropEndedOffers,
  lockInstanceForClaim,
  lockParticular,
  lookAtParticular,
  lookAtPlain,
  openAttempts,
  type Claimed,
  type ClaimedEach,
  type HotSql,
  type ParticularCandidate,
} from '../sql/claim.ts';
import type { Lane } from '../sql/lanes.ts';
import { countStarts, lockLimits, usesOf } from '../sql/limits.ts';
import { handOut, inOrder, numberOf, type Choice, type Plan, type Taker, type WaitingTask } from './claim-order.ts';
import { DispatchLimits } from './dispatch-limits.ts';
import { ReadyLanes } from './ready-lanes.ts';

/** Rows of a lane with conditions that are looked at in one round. */
const particularLook = 100;
/** Plain rows of a lane that are put into one order with those. */
const plainLook = 1_000;

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
    private readonly limits: DispatchLimits,
  ) {}

  /** For many instances, in one statement. No lane may be in two groups. @param tx null: the statement commits by itself */
  async plain(
    instances: readonly InstanceRow[],
    groups: readonly ClaimGroup[],
    tx: Tx | null = null,
  ): Promise<{ claimed: Claimed[]; refused: boolean; outdated: boolean }> {
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
    if (attemptIds.length === 0) return { claimed: [], refused: false, outdated: false };
    const { claimed, last, refused, outdated } = await claim(tx === null ? this.database : hotWithin(tx), {
      groups: wanted,
      instances,
      attemptIds,
      leaseSeconds: this.config.leaseSeconds,
      silentAfterSeconds: silentAfterSeconds(this.config.leaseSeconds),
      traceparent: currentTraceparent(),
      limitVersion: this.limits.version,
      tells: tx === null,
    });
    if (outdated) return { claimed, refused, outdated };
    if (tx !== null) {
      const lanes = new Map(groups.flatMap((group) => group.lanes.map((lane) => [lane.id, lane])));
      tellStarted(tx, claimed, lanes, instances);
    }
    const taken = new Map<number, number>();
    for (const row of claimed) taken.set(row.lane, (taken.get(row.lane) ?? 0) + 1);
    for (const { lanes, slots } of wanted) {
      const emptied = !refused && lanes.reduce((sum, lane) => sum + (taken.get(lane.id) ?? 0), 0) < slots.length;
      for (const { id } of lanes)
        this.ready.taken(id, { last: last.get(id) ?? null, emptied, hints: cursors.get(id)?.hints ?? 0 });
    }
    return { claimed, refused, outdated };
  }

  /**
   * Who should get what, where tasks have conditions of their own or are limited: in one order with the plain tasks that the same
   * takers may have. Nothing is locked; what a limit says is asked again by the claim.
   */
  async plan<R>(
    takers: readonly Taker<R>[],
    lanes: {
      /** Numbers of lanes whose tasks are looked at one by one: below zero, and sticky ones. */
      readonly particular: readonly number[];
      readonly plain: readonly Lane[];
      readonly all: ReadonlyMap<number, Lane>;
    },
    tx: Tx | null = null,
  ): Promise<
    Plan<R> & { readonly empty: readonly number[]; readonly tookMs: number; readonly nextStartInMs: number | null }
  > {
    const from = performance.now();
    const db = tx ?? this.database;
    const prepared = tx === null ? this.database : hotWithin(tx);
    const room = takers.reduce((sum, taker) => sum + taker.room, 0);
    const looked = [...lanes.particular, ...lanes.plain.map(({ id }) => id)];
    const byId = new Map(
      looked.flatMap((number) => lanes.all.get(Math.abs(number)) ?? []).map((lane) => [lane.id, lane]),
    );
    const agents = new Set(takers.map(({ agent }) => agent));
    const limits = [...byId.values()].flatMap((lane) => [...agents].flatMap((agent) => this.limits.of(lane, agent)));
    const known = new Map(limits.map((limit) => [limit.id, limit]));
    const lookAtOnes = async (): Promise<ParticularCandidate[]> =>
      lanes.particular.length === 0 ? [] : lookAtParticular(prepared, lanes.particular, particularLook);
    const lookAtHeads = async (): Promise<Awaited<ReturnType<typeof lookAtPlain>>> =>
      lanes.plain.length === 0
        ? []
        : lookAtPlain(
            prepared,
            lanes.plain.map(({ id }) => ({ id, after: this.ready.placeOf(id) })),
            Math.min(room, plainLook),
          );
    const [candidates, seen] =
      tx === null
        ? await Promise.all([lookAtOnes(), lookAtHeads()])
        : ([await lookAtOnes(), await lookAtHeads()] as const);
    // Then all is plain, and the claim itself keeps the order.
    const simple = candidates.length === 0 && known.size === 0;
    const heads = simple ? [] : seen;
    const waiting: WaitingTask[] = [];
    for (const particular of candidates) {
      const lane = byId.get(Math.abs(particular.lane));
      if (lane !== undefined) waiting.push({ lane, seq: particular.seq, readyAt: particular.readyAt, particular });
    }
    for (const { lane: id, seq, readyAt } of heads) {
      const lane = byId.get(id);
      if (lane !== undefined) waiting.push({ lane, seq, readyAt, particular: null });
    }
    const uses = known.size === 0 ? [] : await usesOf(db, [...known.keys()]);
    const budget = new LimitBudget([...known.values()], uses);
    const nextStarts = uses.flatMap(({ nextStartInMs }) => nextStartInMs ?? []);
    const { picks, full, nobodys } = handOut(
      inOrder(waiting),
      takers,
      (lane, agent) => this.limits.of(lane, agent),
      budget,
    );
    const found = new Set([...candidates, ...heads].map(({ lane }) => lane));
    const empty = (simple ? lanes.particular : looked).filter((number) => !found.has(number));
    return {
      picks,
      full,
      nobodys,
      empty,
      tookMs: performance.now() - from,
      nextStartInMs: nextStarts.length === 0 ? null : Math.min(...nextStarts),
    };
  }

  /** Of what was picked for these instances among tasks with conditions of their own and without a limit, what they may still have. */
  async each(picks: readonly Choice<InstanceRow>[]): Promise<ClaimedEach> {
    const instances = [...new Set(picks.map(({ taker }) => taker))];
    return claimEach(this.database, {
      picks: picks.map(({ task, taker }) => ({
        lane: numberOf(task),
        seq: task.seq,
        taker: instances.indexOf(taker),
        attemptId: this.ids.next('attempt'),
      })),
      instances,
      leaseSeconds: this.config.leaseSeconds,
      silentAfterSeconds: silentAfterSeconds(this.config.leaseSeconds),
      traceparent: currentTraceparent(),
      limitVersion: this.limits.version,
    });
  }

  /** The same for one instance, where limits are to be asked about them. */
  async particular(instance: InstanceRow, picks: readonly Choice<unknown>[]): Promise<Claimed[]> {
    return this.database.transaction(async (tx) => {
      const room = await this.lockedRoom(tx, instance);
      if (room < 1) return [];
      const budget = await this.lockedBudget(tx, picks);
      const claimed = await this.takeParticular(tx, instance, picks.slice(0, room), budget);
      await this.countStarts(tx, claimed, picks, [instance]);
      return claimed;
    });
  }

  /** Plain tasks of limited lanes, for many instances. */
  async limited(picks: readonly Choice<InstanceRow>[]): Promise<{ claimed: Claimed[]; outdated: boolean }> {
    return this.database.transaction(async (tx) => this.takeLimited(tx, picks, await this.lockedBudget(tx, picks)));
  }

  /** For an instance that asks by itself, on any server: as many as it has room for. */
  async forOne(
    instance: InstanceRow,
    lanes: readonly Lane[],
    count: number,
  ): Promise<{ claimed: Claimed[]; outdated: boolean }> {
    return this.database.transaction(async (tx) => {
      const room = Math.min(count, await this.lockedRoom(tx, instance));
      if (room < 1) return { claimed: [], outdated: false };
      const { id, agent } = instance;
      const free = lanes.filter((lane) => !lane.sticky && this.limits.of(lane, agent).length === 0);
      const taker = { of: instance, id, agent, room, load: 0, lanes: new Set(lanes.map((lane) => lane.id)) };
      const numbers = lanes.flatMap((lane) => (lane.sticky ? [-lane.id, lane.id] : [-lane.id]));
      const { picks } = await this.plan(
        [taker],
        {
          particular: numbers,
          plain: lanes.filter((lane) => !lane.sticky),
          all: new Map(lanes.map((lane) => [lane.id, lane])),
        },
        tx,
      );
      const budget = await this.lockedBudget(tx, picks);
      const particular = picks.filter(({ task }) => task.particular !== null);
      const claimed = await this.takeParticular(tx, instance, particular, budget);
      await this.countStarts(tx, claimed, particular, [instance]);
      const plain = picks.filter(({ task, limits }) => task.particular === null && limits.length > 0);
      const limited = await this.takeLimited(tx, plain, budget);
      claimed.push(...limited.claimed);
      const left = room - claimed.length;
      if (limited.outdated || left < 1 || free.length === 0) return { claimed, outdated: limited.outdated };
      const slots = Array.from({ length: left }, () => 0);
      const rest = await this.plain([instance], [{ lanes: free, slots }], tx);
      return { claimed: [...claimed, ...rest.claimed], outdated: rest.outdated };
    });
  }

  private async lockedRoom(tx: Tx, { id, connection }: InstanceRow): Promise<number> {
    const row = await lockInstanceForClaim(tx, {
      instanceId: id,
      connection,
      silentAfterSeconds: silentAfterSeconds(this.config.leaseSeconds),
    });
    return row === null ? 0 : Math.max(0, roomOf(row) - row.held);
  }

  /** What the limits of these still allow, which nobody else takes from until this transaction ends. */
  private async lockedBudget(tx: Tx, picks: readonly Choice<unknown>[]): Promise<LimitBudget> {
    const known = new Map(picks.flatMap(({ limits }) => limits.map((limit) => [limit.id, limit])));
    if (known.size === 0) return new LimitBudget([], []);
    const ids = [...known.keys()];
    await lockLimits(tx, ids);
    return new LimitBudget([...known.values()], await usesOf(tx, ids));
  }

  private async takeLimited(
    tx: Tx,
    picks: readonly Choice<InstanceRow>[],
    budget: LimitBudget,
  ): Promise<{ claimed: Claimed[]; outdated: boolean }> {
    const allowed = picks.filter(({ limits }) => budget.take(limits));
    if (allowed.length === 0) return { claimed: [], outdated: false };
    const instances = [...new Set(allowed.map(({ taker }) => taker))];
    const groups = [...Map.groupBy(allowed, ({ task }) => task.lane.id).values()].flatMap((own): ClaimGroup[] => {
      const [first] = own;
      return first === undefined
        ? []
        : [{ lanes: [first.task.lane], slots: own.map(({ taker }) => instances.indexOf(taker)) }];
    });
    const { claimed, outdated } = await this.plain(instances, groups, tx);
    await this.countStarts(tx, claimed, allowed, instances);
    return { claimed, outdated };
  }

  private async countStarts(
    tx: Tx,
    claimed: readonly Claimed[],
    picks: readonly Choice<unknown>[],
    instances: readonly InstanceRow[],
  ): Promise<void> {
    if (!picks.some(({ limits }) => limits.some(({ maxStarts }) => maxStarts !== null))) return;
    const lanes = new Map(picks.map(({ task }) => [task.lane.id, task.lane]));
    const agents = new Map(instances.map(({ id, agent }) => [id, agent]));
    const starts = new Map<string, number>();
    for (const row of claimed) {
      const lane = lanes.get(row.lane);
      const limits = lane === undefined ? [] : this.limits.of(lane, agents.get(row.instance_id) ?? '');
      for (const { id, maxStarts } of limits) if (maxStarts !== null) starts.set(id, (starts.get(id) ?? 0) + 1);
    }
    if (starts.size > 0) await countStarts(tx, starts);
  }

  private async takeParticular(
    tx: Tx,
    instance: InstanceRow,
    picks: readonly Choice<unknown>[],
    budget: LimitBudget,
  ): Promise<Claimed[]> {
    if (picks.length === 0) return [];
    const limits = new Map(picks.map((pick) => [pick.task.lane.id, pick.limits]));
    const lanes = new Map(picks.map(({ task }) => [task.lane.id, task.lane]));
    const places = picks.map(({ task }) => ({ lane: numberOf(task), seq: task.seq }));
    const { id: instanceId, agent } = instance;
    const found = await lockParticular(tx, { places, instanceId, agent, limitVersion: this.limits.version });
    let rows = found.filter((row) => budget.take(limits.get(Math.abs(row.lane)) ?? [], row.expired_agent));
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
    tellStarted(tx, claimed, lanes, [instance]);
    return claimed;
  }
}

/** Its events go with the message that commits; their ids follow from those of the attempts, as where the statement itself tells. */
function tellStarted(
  tx: Tx,
  claimed: readonly Claimed[],
  lanes: ReadonlyMap<number, Lane>,
  instances: readonly InstanceRow[],
): void {
  const agents = new Map(instances.map(({ id, agent }) => [id, agent]));
  for (const { task_id, lane: laneId, attempt_id, number, fence, instance_id } of claimed) {
    const lane = lanes.get(laneId);
    if (lane === undefined) throw new Error(`The task ${task_id} is in the lane ${laneId}, which there is not.`);
    tx.append({
      id: `evt${attempt_id.slice(3)}`,
      type: 'task.started',
      teamId: lane.teamId,
      projectId: lane.projectId,
      subject: task_id,
      data: { taskId: task_id, attempt: number, fence, agent: agents.get(instance_id), instanceId: instance_id },
    });
  }
}

const hotWithin = (tx: Tx): HotSql => ({
  hot: (_name, text, params) => tx.sql(text, params),
  appended: () => undefined,
});

/** Tasks at a time: what its process offers, and what its definition allows. */
export const roomOf = (instance: Pick<InstanceRow, 'capacity' | 'limits'>): number =>
  Math.min(instance.capacity, instance.limits.concurrency);
