import { Injectable, Logger } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ReleaseAttempt } from '../commands/release-attempt.ts';
import { EventLog } from '#platform/eventlog';
import { Database } from '#platform/database';
import type { Claimed } from '../sql/claim.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import type { Lane } from '../sql/lanes.ts';
import { endedOf, type Holder } from '../sql/leases.ts';
import { Assignments, type About, type Offer } from './assignments.ts';
import { Claims, type ClaimGroup } from './claims.ts';
import { numberOf, type Choice, type Taker } from './claim-order.ts';
import { DispatchLimits } from './dispatch-limits.ts';
import { Eligibility, type Candidate } from './eligibility.ts';
import { Lanes } from './lanes.ts';
import { ReadyLanes } from './ready-lanes.ts';
import { WakeUps, type EndedAttempt } from './wake-ups.ts';

/** One connected instance as the dispatcher sees it; its socket is somewhere in this process. */
export interface Receiver extends Candidate {
  /** Tasks that it would take now: it has asked for them, and its capacity allows them. */
  readonly room: number;
  /** From 0 to 1. */
  readonly load: number;
  /** Claimed for it: it has less room, and what it holds is more. */
  expect(tasks: readonly Claimed[]): void;
  /** False when the connection is gone: the tasks go back. */
  offer(tasks: readonly Offer[]): boolean;
  /** What it works on, as far as this process knows. */
  held(): readonly { readonly taskId: string; readonly fence: number }[];
  stop(attempt: EndedAttempt): void;
  forget(taskId: string, fence: number): void;
  /** What was heard from it lately is written down as a heartbeat. False: nothing was. */
  touch(): Promise<boolean>;
}

/** Room of instances that is kept for tasks that are about to be created. */
export interface Places {
  readonly instances: readonly InstanceRow[];
  /** For each task in the order of its lane, an index into the instances; left out where there is none. */
  readonly byLane: ReadonlyMap<number, readonly number[]>;
  /** Up to where nothing waits in each lane, as far as this process knows. */
  readonly after: ReadonlyMap<number, number>;
  /** Call it exactly once, when what began there has been committed. */
  give(claimed: readonly Claimed[]): void;
}

interface HandedInOrder {
  readonly handed: number;
  /** Some of what was picked had gone to others, or was meant for who may have nothing now: there may be more. */
  readonly contested: boolean;
  readonly outdated: boolean;
}

const everyMs = 1_000;
/** After each round that failed in a row; a second after all others. A database that was away for a moment is not to be waited for. */
const afterFailureMs = [25, 50, 100, 100, 100, 100, 100, 100, 200, 400];
/** Tasks in one claim: enough to share one commit, few enough to leave the others their turn. */
const perClaim = 1_000;
/** After a pause; it doubles while claims come back full. */
const firstClaim = 64;
const passesPerRound = 100;
/** So often in a row others may have been faster at a lane before it is left to the next look. */
const mostLosses = 3;
/** By then whoever was faster has committed. */
const contestedMs = 10;
const none: ReadonlySet<number> = new Set();

/**
 * Hands tasks to the instances whose sockets this process holds. Woken by hints and by the event log, and looking by
 * itself every second. Several servers dispatch at once without knowing of each other: the claim in SQL decides.
 */
@Injectable()
export class Dispatcher {
  private readonly log = new Logger('dispatcher');
  private readonly receivers = new Set<Receiver>();
  private readonly unsubscribe: (() => void)[] = [];
  private readonly deliveries = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | undefined;
  private soon: NodeJS.Timeout | undefined;
  private round: Promise<void> | null = null;
  private again = false;
  /** Rounds that failed in a row. */
  private failed = 0;
  private stopped = true;
  private turn = 0;
  /** Tasks to ask for in the next claim. */
  private size = firstClaim;
  /** Room that is being given away at this moment, so that nobody gives it to others. */
  private readonly kept = new Map<Receiver, number>();
  /** Lanes for whose tasks places are kept while they are being created; each ends with its creation. */
  private readonly placed = new Map<number, Promise<void>>();
  /** Until when they are not asked. */
  private readonly benched = new WeakMap<Receiver, number>();
  /** By the number of a lane: instances that had room and may have nothing of what was there. */
  private readonly passedOver = new Map<number, ReadonlySet<string>>();
  private readonly touchedAt = new WeakMap<Receiver, number>();
  /** By the number of a lane with conditions: how often in a row nothing was had of what was picked there. */
  private readonly lost = new Map<number, number>();

  constructor(
    private readonly commands: CommandBus,
    private readonly database: Database,
    private readonly eligibility: Eligibility,
    private readonly eventLog: EventLog,
    private readonly wakeUps: WakeUps,
    private readonly lanes: Lanes,
    private readonly readyLanes: ReadyLanes,
    private readonly claims: Claims,
    private readonly assignments: Assignments,
    private readonly limits: DispatchLimits,
  ) {}

  start(): void {
    this.stopped = false;
    this.unsubscribe.push(
      this.wakeUps.onClaimable((hints) => {
        if (hints === null) return this.lookAnywhere();
        for (const { lane, seq } of hints) this.readyLanes.hint(lane, seq);
        this.poke();
      }),
      this.wakeUps.onEnded((attempt) => {
        for (const receiver of this.receivers) receiver.stop(attempt);
      }),
      this.wakeUps.onEndedElsewhere((taskId) => {
        if (taskId === null || this.holds(taskId)) void this.stopEnded();
      }),
      // Hot verbs of this process say by themselves what they made claimable; anything else may have.
      this.database.onAppended((_head, events) => {
        if (events.some(({ type }) => type !== 'task.started')) this.lookAnywhere();
      }),
      this.eventLog.onAdvance((here) => {
        if (!here) this.lookAnywhere();
      }),
    );
    this.timer = setInterval(() => {
      this.poke();
      void this.stopEnded();
    }, everyMs);
    this.timer.unref();
  }

  /** Hands out nothing more; a round that runs is waited for. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    clearTimeout(this.soon);
    for (const off of this.unsubscribe.splice(0)) off();
    await Promise.all([this.round, ...this.placed.values()]);
    await Promise.all(this.deliveries);
  }

  add(receiver: Receiver): void {
    this.receivers.add(receiver);
  }

  remove(receiver: Receiver): void {
    this.receivers.delete(receiver);
  }

  /** There may be something to do. Coalesced: one round runs at a time, and at most one more waits. */
  poke(): void {
    if (this.stopped) return;
    if (this.round !== null) {
      this.again = true;
      return;
    }
    // The log's hint comes a moment before the one that names lanes, which saves a look at the table.
    this.round = new Promise((resolve) => setImmediate(resolve))
      .then(() => this.run())
      .then(
        () => (this.failed = 0),
        (error: unknown) => this.comeBack(error),
      )
      .then(() => {
        this.round = null;
        if (this.again) {
          this.again = false;
          this.poke();
        }
      });
  }

  /** The database may have been away for a moment: what waits need not wait for the look each second. */
  private comeBack(error: unknown): void {
    this.log.error({ err: error }, 'a round failed and comes again');
    this.lookSoon(afterFailureMs[this.failed] ?? everyMs);
    this.failed += 1;
  }

  private lookAnywhere(): void {
    this.readyLanes.hintAnywhere();
    this.poke();
  }

  private async run(): Promise<void> {
    for (let pass = 0; pass < passesPerRound && !this.stopped; pass++) {
      const able = this.able();
      if (able.length === 0) return;
      this.askAgain(able);
      const numbers = await this.readyLanes.current();
      if (numbers.length === 0) return this.lookSoon();
      const lanes = await this.lanes.all([...new Set(numbers.map(Math.abs))]);
      for (const number of numbers) if (!lanes.has(Math.abs(number))) this.readyLanes.forget(number);
      const may = await this.eligibility.lanesFor(able, [...lanes.values()]);
      const waiting = new Set(numbers);
      const { free, takers } = this.split(able, lanes, may, waiting);
      const plain = new Map([...lanes].filter(([id]) => waiting.has(id)));
      const first = await this.handInOrder(able, takers, lanes, waiting);
      const rest = await this.handPlain(able, plain, free);
      if (first.outdated || rest.outdated) {
        await this.limits.look();
        continue;
      }
      if (first.handed + rest.handed === 0) return this.lookSoon(first.contested ? contestedMs : null);
    }
    this.again = true;
  }

  /**
   * Places for so many tasks of these lanes, which are about to be created: they begin with the commit that makes them, where nothing that
   * those instances may take is known to wait, nothing is limited, and there is room for all of them or they are of one lane. Otherwise
   * who goes first is the claims' business. Null: there are none.
   */
  async placesFor(wanted: ReadonlyMap<number, number>): Promise<Places | null> {
    const refused = (): boolean => this.stopped || [...wanted.keys()].some((id) => this.placed.has(id));
    if (refused() || this.able().length === 0) return null;
    const waiting = new Set(this.readyLanes.known().map(Math.abs));
    const lanes = await this.lanes.all([...new Set([...wanted.keys(), ...waiting])]);
    const able = this.able();
    const may = await this.eligibility.lanesFor(able, [...lanes.values()]);
    if (refused()) return null;
    const places = new Map<Receiver, number>();
    const byLane = new Map<number, readonly Receiver[]>();
    for (const [id, count] of wanted) {
      const lane = lanes.get(id);
      const fit = lane === undefined ? [] : able.filter(({ instance }) => may.get(instance.id)?.includes(id) === true);
      if (lane === undefined || fit.length === 0) continue;
      const room = (receiver: Receiver): number => this.roomOf(receiver) - (places.get(receiver) ?? 0);
      const isFree = ({ instance }: Receiver): boolean =>
        this.limits.of(lane, instance.agent).length === 0 &&
        may.get(instance.id)?.some((number) => waiting.has(number)) === false;
      const slots = lane.sticky || !fit.every(isFree) ? [] : shareOut(fit, count, room);
      if (slots.length < count && wanted.size > 1) return null;
      const own = slots.flatMap((slot) => fit[slot] ?? []);
      for (const receiver of own) places.set(receiver, (places.get(receiver) ?? 0) + 1);
      byLane.set(id, own);
    }
    if (places.size === 0) return null;
    const receivers = [...places.keys()];
    const about = this.assignments.about([...byLane.keys()].flatMap((id) => lanes.get(id) ?? []));
    const release = this.keep(places);
    const given = Promise.withResolvers<void>();
    for (const id of wanted.keys()) this.placed.set(id, given.promise);
    return {
      instances: receivers.map(({ instance }) => instance),
      byLane: new Map([...byLane].map(([id, own]) => [id, own.map((receiver) => receivers.indexOf(receiver))])),
      after: new Map([...byLane.keys()].map((id) => [id, this.readyLanes.placeOf(id)])),
      give: (claimed) => {
        release();
        this.deliverAll(receivers, claimed, about);
        for (const id of wanted.keys()) this.placed.delete(id);
        given.resolve();
        // Somebody may have been refused the room that was not used after all.
        this.poke();
      },
    };
  }

  private able(): Receiver[] {
    const now = performance.now();
    return [...this.receivers].filter(
      (receiver) => this.roomOf(receiver) > 0 && (this.benched.get(receiver) ?? 0) < now,
    );
  }

  private roomOf(receiver: Receiver): number {
    return Math.max(0, receiver.room - (this.kept.get(receiver) ?? 0));
  }

  /** Nobody else gives this room away until what is returned is called. */
  private keep(rooms: ReadonlyMap<Receiver, number>): () => void {
    for (const [receiver, room] of rooms) this.kept.set(receiver, (this.kept.get(receiver) ?? 0) + room);
    return () => {
      for (const [receiver, room] of rooms) {
        const left = (this.kept.get(receiver) ?? 0) - room;
        if (left > 0) this.kept.set(receiver, left);
        else this.kept.delete(receiver);
      }
    };
  }

  /** Tasks that none of those who were asked may have, as soon as there is room with somebody who was not. */
  private askAgain(able: readonly Receiver[]): void {
    for (const [number, asked] of this.passedOver) {
      if (able.every(({ instance }) => asked.has(instance.id))) continue;
      this.passedOver.delete(number);
      this.readyLanes.hint(number);
    }
  }

  /** Something was told of and the last look is too recent for another, or a limit may allow something again. */
  private lookSoon(atTheLatestMs: number | null = null): void {
    const waits = [atTheLatestMs ?? this.readyLanes.lookIn, this.limits.restsFor].filter((ms) => ms !== null);
    if (waits.length === 0 || this.stopped) return;
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.poke(), Math.min(...waits)).unref();
  }

  /**
   * Of what each may take: the plain lanes without a limit, by instance id; and, for those who may take something else as well, all
   * of it that is there, because it goes by one order.
   */
  private split(
    able: readonly Receiver[],
    lanes: ReadonlyMap<number, Lane>,
    may: ReadonlyMap<string, readonly number[]>,
    waiting: ReadonlySet<number>,
  ): { free: ReadonlyMap<string, readonly number[]>; takers: Taker<Receiver>[] } {
    const particular = [...waiting].some((number) => number < 0 || lanes.get(number)?.sticky === true);
    const free = new Map<string, readonly number[]>();
    const takers: Taker<Receiver>[] = [];
    for (const receiver of able) {
      const { id, agent, team_id: teamId } = receiver.instance;
      const own = may.get(id);
      if (own === undefined) continue;
      const isLimited = (number: number): boolean => {
        const lane = lanes.get(number);
        return lane !== undefined && this.limits.of(lane, agent).length > 0;
      };
      const limited = this.limits.hasFor(teamId) ? new Set(own.filter(isLimited)) : none;
      const isFree = (number: number): boolean => !limited.has(number) && lanes.get(number)?.sticky !== true;
      free.set(id, limited.size === 0 && !particular ? own : own.filter(isFree));
      const open = (number: number): boolean => !limited.has(Math.abs(number)) || !this.limits.isResting(number);
      const careful =
        (particular && own.some((number) => numbersOf(number, lanes).some((one) => waiting.has(one) && open(one)))) ||
        [...limited].some((number) => waiting.has(number) && open(number));
      if (!careful) continue;
      const room = this.roomOf(receiver);
      if (room > 0) takers.push({ of: receiver, id, agent, room, load: receiver.load, lanes: new Set(own) });
    }
    return { free, takers };
  }

  /** Tasks with conditions of their own, and those of limited lanes, as far as no plain task of the same takers goes before them. */
  private async handInOrder(
    able: readonly Receiver[],
    takers: readonly Taker<Receiver>[],
    lanes: ReadonlyMap<number, Lane>,
    waiting: ReadonlySet<number>,
  ): Promise<HandedInOrder> {
    if (takers.length === 0) return { handed: 0, contested: false, outdated: false };
    const release = this.keep(new Map(takers.map(({ of, room }) => [of, room])));
    try {
      return await this.handTo(able, takers, lanes, waiting);
    } finally {
      release();
    }
  }

  private async handTo(
    able: readonly Receiver[],
    takers: readonly Taker<Receiver>[],
    lanes: ReadonlyMap<number, Lane>,
    waiting: ReadonlySet<number>,
  ): Promise<HandedInOrder> {
    const theirs = [...lanes.values()].filter(({ id }) => takers.some((taker) => taker.lanes.has(id)));
    const open = (lane: Lane, number: number): boolean =>
      waiting.has(number) &&
      (!this.limits.isResting(number) || takers.some(({ agent }) => this.limits.of(lane, agent).length === 0));
    const particular = theirs.flatMap((lane) => numbersOf(lane.id, lanes).filter((number) => open(lane, number)));
    const plain = theirs.filter((lane) => !lane.sticky && waiting.has(lane.id));
    const looked = [...particular, ...plain.map(({ id }) => id)];
    const hints = new Map(looked.map((number) => [number, this.readyLanes.cursorOf(number).hints]));
    const { picks, full, nobodys, empty, ...took } = await this.claims.plan(takers, { particular, plain, all: lanes });
    this.limits.rest(full, took);
    let handed = 0;
    let contested = false;
    const gone = new Set([...nobodys, ...empty]);
    const asked = new Set(nobodys.size === 0 ? [] : able.map(({ instance }) => instance.id));
    for (const number of nobodys) this.passedOver.set(number, asked);
    const own = picks.filter(({ task }) => task.particular !== null);
    const free = own.filter(({ limits }) => limits.length === 0);
    let isOutdated = false;
    if (free.length > 0 && !this.stopped) {
      const { claimed, awake, outdated } = await this.claims.each(
        free.map((pick) => ({ ...pick, taker: pick.taker.instance })),
      );
      isOutdated = outdated;
      handed += claimed.length;
      this.deliverAll(
        free.map(({ taker }) => taker),
        claimed,
      );
      if (!outdated) {
        const picked = new Set(free.map(({ task }) => numberOf(task)));
        for (const receiver of new Set(free.map(({ taker }) => taker)))
          if (!awake.has(receiver.instance.id)) this.benchOne(receiver, [...picked]);
        // What was meant for who may have nothing goes to others at once; and who came too late for some looks at what is left.
        const isComplete = claimed.length === free.length;
        for (const number of picked) {
          const won = isComplete || claimed.some(({ lane }) => lane === Math.abs(number));
          const losses = won ? 0 : (this.lost.get(number) ?? 0) + 1;
          const isGone = losses > mostLosses;
          if (isGone) gone.add(number);
          else contested ||= !isComplete;
          if (won || isGone) this.lost.delete(number);
          else this.lost.set(number, losses);
        }
      }
    }
    const underLimits = own.filter(({ limits }) => limits.length > 0);
    for (const [receiver, some] of Map.groupBy(underLimits, ({ taker }) => taker)) {
      if (this.stopped) break;
      const claimed = await this.claims.particular(receiver.instance, some);
      handed += claimed.length;
      if (claimed.length > 0) this.deliver(new Map([[receiver, claimed]]), claimed);
      else {
        const numbers = some.map(({ task }) => numberOf(task));
        for (const number of numbers) gone.add(number);
        this.touch(receiver, numbers);
      }
    }
    // What nobody here may have now is asked about again when somebody else has room, and by the look each second.
    for (const number of gone)
      this.readyLanes.taken(number, { last: null, emptied: true, hints: hints.get(number) ?? 0 });
    const limited = picks.filter(({ task, limits }) => task.particular === null && limits.length > 0);
    if (limited.length === 0 || this.stopped) return { handed, contested, outdated: isOutdated };
    const { claimed, outdated } = await this.handLimited(limited);
    return { handed: handed + claimed, contested, outdated: outdated || isOutdated };
  }

  private async handLimited(picks: readonly Choice<Receiver>[]): Promise<{ claimed: number; outdated: boolean }> {
    const { claimed, outdated } = await this.claims.limited(
      picks.map((pick) => ({ ...pick, taker: pick.taker.instance })),
    );
    this.deliverAll(
      picks.map(({ taker }) => taker),
      claimed,
    );
    return { claimed: claimed.length, outdated };
  }

  private async handPlain(
    able: readonly Receiver[],
    lanes: ReadonlyMap<number, Lane>,
    may: ReadonlyMap<string, readonly number[]>,
  ): Promise<{ handed: number; outdated: boolean }> {
    const nothing = { handed: 0, outdated: false };
    if (lanes.size === 0) return nothing;
    const receivers = able.filter((receiver) => this.roomOf(receiver) > 0 && may.has(receiver.instance.id));
    const slots = shareOut(receivers, this.size, (receiver) => this.roomOf(receiver));
    const groups = this.groupsOf(receivers, slots, lanes, may);
    if (groups.length === 0) return nothing;
    const about = this.assignments.about(groups.flatMap((group) => group.lanes));
    const rooms = new Map<Receiver, number>();
    for (const slot of slots) {
      const receiver = receivers[slot];
      if (receiver !== undefined) rooms.set(receiver, (rooms.get(receiver) ?? 0) + 1);
    }
    const release = this.keep(rooms);
    try {
      const { claimed, refused, outdated } = await this.claims.plain(
        receivers.map((receiver) => receiver.instance),
        groups,
      );
      this.size = Math.min(perClaim, Math.max(firstClaim, 2 * claimed.length));
      if (refused) this.bench(receivers, slots, claimed);
      this.deliverAll(receivers, claimed, about);
      return { handed: claimed.length, outdated };
    } finally {
      release();
    }
  }

  private deliverAll(receivers: readonly Receiver[], claimed: readonly Claimed[], about?: About): void {
    if (claimed.length === 0) return;
    const byReceiver = new Map<Receiver, Claimed[]>();
    const byId = new Map(receivers.map((receiver) => [receiver.instance.id, receiver]));
    for (const row of claimed) {
      const receiver = byId.get(row.instance_id);
      if (receiver === undefined) continue;
      const own = byReceiver.get(receiver);
      if (own === undefined) byReceiver.set(receiver, [row]);
      else own.push(row);
    }
    this.deliver(byReceiver, claimed, about);
  }

  /** Tasks were there and these did not get what was meant for them: paused, taken over or silent, as the database knows better. */
  private bench(receivers: readonly Receiver[], slots: readonly number[], claimed: readonly Claimed[]): void {
    const given = new Set(claimed.map((row) => row.instance_id));
    for (const index of new Set(slots)) {
      const receiver = receivers[index];
      if (receiver !== undefined && !given.has(receiver.instance.id)) this.benchOne(receiver);
    }
  }

  /** @param numbers lanes to look at again once it is known to be there */
  private benchOne(receiver: Receiver, numbers: readonly number[] = []): void {
    this.benched.set(receiver, performance.now() + everyMs);
    this.touch(receiver, numbers);
  }

  /**
   * When the database's clock is stepped, everybody has been silent for as long as the step. Who speaks on its socket here need not
   * wait for its next heartbeat to be given something.
   */
  private touch(receiver: Receiver, numbers: readonly number[] = []): void {
    const now = performance.now();
    if (now - (this.touchedAt.get(receiver) ?? Number.NEGATIVE_INFINITY) < everyMs) return;
    this.touchedAt.set(receiver, now);
    void receiver.touch().then(
      (alive) => {
        if (!alive) return;
        this.benched.delete(receiver);
        for (const number of numbers) this.readyLanes.hint(number);
        this.poke();
      },
      (error: unknown) => {
        // Its connection closed meanwhile: there is nobody to say it of.
        if (this.receivers.has(receiver))
          this.log.warn({ err: error }, 'could not say that an instance is there; its heartbeat will');
      },
    );
  }

  /** Instances that may take from the same lanes are one group. A lane that two groups may take from is given to one of them, in turn. */
  private groupsOf(
    receivers: readonly Receiver[],
    slots: readonly number[],
    lanes: ReadonlyMap<number, Lane>,
    may: ReadonlyMap<string, readonly number[]>,
  ): ClaimGroup[] {
    const own = receivers.map((receiver) => (may.get(receiver.instance.id) ?? []).filter((id) => lanes.has(id)));
    const byLanes = Map.groupBy(slots, (index) => (own[index] ?? []).join(' '));
    byLanes.delete('');
    const all = [...byLanes.values()];
    const first = all.length === 0 ? 0 : this.turn++ % all.length;
    const used = new Set<number>();
    return [...all.slice(first), ...all.slice(0, first)].flatMap((some): ClaimGroup[] => {
      const free = (own[some[0] ?? 0] ?? []).flatMap((id) => {
        const lane = lanes.get(id);
        if (lane === undefined || used.has(id)) return [];
        used.add(id);
        return [lane];
      });
      return free.length === 0 ? [] : [{ lanes: free, slots: some }];
    });
  }

  /** Beside the next claim: reading inputs and writing frames need not hold it up. */
  private deliver(
    byReceiver: ReadonlyMap<Receiver, readonly Claimed[]>,
    claimed: readonly Claimed[],
    about?: About,
  ): void {
    for (const [receiver, own] of byReceiver) receiver.expect(own);
    const delivery = this.assignments
      .of(claimed, about)
      .then(async (offers) => {
        for (const [receiver, own] of byReceiver) {
          const tasks = own.flatMap((row) => offers.get(row.fence) ?? []);
          if (!this.receivers.has(receiver) || !receiver.offer(tasks)) await this.takeBack(receiver, tasks);
        }
      })
      .catch(async (error: unknown) => {
        this.log.error({ err: error }, 'claimed tasks could not be delivered and go back');
        for (const [receiver, own] of byReceiver)
          await this.takeBack(
            receiver,
            own.map((row) => ({ taskId: row.task_id, fence: row.fence })),
          );
      })
      .finally(() => this.deliveries.delete(delivery));
    this.deliveries.add(delivery);
  }

  /** Claimed for a connection that went away meanwhile: its agent never saw them. */
  private async takeBack(
    receiver: Receiver,
    tasks: readonly { readonly taskId: string; readonly fence: number }[],
  ): Promise<void> {
    for (const { taskId, fence } of tasks) {
      receiver.forget(taskId, fence);
      await this.release({ actorId: receiver.actor.id, taskId, fence });
    }
  }

  /** Claimed, and the answer was lost: nobody has been told of them. */
  giveBack(unheard: readonly Holder[]): void {
    const release = async (): Promise<void> => {
      for (const holder of unheard) await this.release(holder);
    };
    const releasing = release().finally(() => this.deliveries.delete(releasing));
    this.deliveries.add(releasing);
  }

  private async release(by: Holder): Promise<void> {
    const command = new ReleaseAttempt(by, { reason: 'the connection was gone before the task arrived' });
    await this.commands
      .execute(command)
      .catch((error: unknown) =>
        this.log.warn(
          { err: error, taskId: by.taskId, fence: by.fence },
          'could not give a task back; its lease will expire',
        ),
      );
  }

  private holds(taskId: string): boolean {
    return [...this.receivers].some((receiver) => receiver.held().some((one) => one.taskId === taskId));
  }

  /** Cancelled, timed out or claimed by somebody else, maybe on another server: the agent is told to stop. */
  private async stopEnded(): Promise<void> {
    try {
      const held = [...this.receivers].flatMap((receiver) => [...receiver.held()]);
      if (held.length === 0) return;
      const ended = await endedOf(this.database, held);
      for (const { taskId, fence, outcome, error, byServer } of ended) {
        for (const receiver of this.receivers) {
          if (!byServer) receiver.forget(taskId, fence);
          else
            receiver.stop({
              taskId,
              fence,
              reason: outcome === 'cancelled' || outcome === 'failed' ? (error ?? outcome) : 'stale_lease',
            });
        }
      }
    } catch (error) {
      this.log.warn({ err: error }, 'could not look for ended attempts; the next look is a second away');
    }
  }
}

/** The numbers under which tasks of a lane stand that are looked at one by one. */
const numbersOf = (laneId: number, lanes: ReadonlyMap<number, Lane>): number[] =>
  lanes.get(laneId)?.sticky === true ? [-laneId, laneId] : [-laneId];

/**
 * Slots for at most `limit` tasks, as indexes of receivers: the same number for each team as far as it can use them, and within
 * a team one for each instance in turn, the least loaded first.
 */
export function shareOut<R extends { readonly load: number; readonly instance: { readonly team_id: string } }>(
  receivers: readonly R[],
  limit: number,
  roomOf: (receiver: R) => number,
): number[] {
  const teams = [...Map.groupBy(receivers.keys(), (index) => receivers[index]?.instance.team_id ?? '').values()].map(
    (indexes) => {
      const byLoad = indexes.sort((a, b) => (receivers[a]?.load ?? 0) - (receivers[b]?.load ?? 0));
      const left = byLoad.map((index) => {
        const receiver = receivers[index];
        return { index, room: receiver === undefined ? 0 : roomOf(receiver) };
      });
      return { left, at: 0, total: left.reduce((sum, one) => sum + one.room, 0) };
    },
  );
  const slots: number[] = [];
  let open = teams.filter((team) => team.total > 0);
  while (open.length > 0 && slots.length < limit) {
    for (const team of open) {
      if (slots.length >= limit) break;
      let one = team.left[team.at];
      if (one === undefined) {
        team.left = team.left.filter(({ room }) => room > 0);
        team.at = 0;
        one = team.left[0];
      }
      team.at += 1;
      if (one === undefined || one.room < 1) continue;
      one.room -= 1;
      team.total -= 1;
      slots.push(one.index);
    }
    open = open.filter((team) => team.total > 0);
  }
  return slots;
}
