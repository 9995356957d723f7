import type { TaskAssignment } from '@muster/contracts';
import { Injectable, Logger } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ClaimTasks } from '../commands/claim-tasks.ts';
import { ReleaseAttempt } from '../commands/release-attempt.ts';
import { EventLog } from '#platform/eventlog';
import { Database } from '#platform/database';
import { endedOf } from '../sql/leases.ts';
import { Eligibility, type Candidate } from './eligibility.ts';
import { WakeUps, type EndedAttempt } from './wake-ups.ts';

/** One connected instance as the dispatcher sees it; its socket is somewhere in this process. */
export interface Receiver extends Candidate {
  /** How many tasks it has asked for and not been given. */
  credit: number;
  /** False when the connection is gone: the tasks go back. */
  offer(tasks: readonly TaskAssignment[]): boolean;
  /** What it works on, as far as this process knows. */
  held(): readonly { readonly taskId: string; readonly fence: number }[];
  stop(attempt: EndedAttempt): void;
  forget(taskId: string, fence: number): void;
}

const everyMs = 1_000;
/** Tasks for one instance in one claim, so that one with much credit does not take everything before the others are asked. */
const perClaim = 8;
const passesPerRound = 100;

/**
 * Hands tasks to the instances whose sockets this process holds. Woken by hints and by the event log, and looking by
 * itself every second. Several servers dispatch at once without knowing of each other: the claim in SQL decides.
 */
@Injectable()
export class Dispatcher {
  private readonly log = new Logger('dispatcher');
  private readonly receivers = new Set<Receiver>();
  private readonly unsubscribe: (() => void)[] = [];
  private timer: NodeJS.Timeout | undefined;
  private round: Promise<void> | null = null;
  private again = false;
  private stopped = true;
  private turn = 0;

  constructor(
    private readonly commands: CommandBus,
    private readonly database: Database,
    private readonly eligibility: Eligibility,
    private readonly eventLog: EventLog,
    private readonly wakeUps: WakeUps,
  ) {}

  start(): void {
    this.stopped = false;
    this.unsubscribe.push(
      this.wakeUps.onClaimable(() => this.poke()),
      this.wakeUps.onEnded((attempt) => {
        for (const receiver of this.receivers) receiver.stop(attempt);
      }),
      this.wakeUps.onEndedElsewhere((taskId) => {
        if (taskId === null || this.holds(taskId)) void this.stopEnded();
      }),
      this.eventLog.onAdvance(() => this.poke()),
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
    for (const off of this.unsubscribe.splice(0)) off();
    await this.round;
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
    this.round = this.run()
      .catch((error: unknown) => this.log.error({ err: error }, 'a round failed; the next one is a second away'))
      .then(() => {
        this.round = null;
        if (this.again) {
          this.again = false;
          this.poke();
        }
      });
  }

  private async run(): Promise<void> {
    for (let pass = 0; pass < passesPerRound && !this.stopped; pass++) {
      const ready = [...this.receivers].filter((receiver) => receiver.credit > 0);
      if (ready.length === 0) return;
      const groups = await this.eligibility.groupsFor(ready);
      if (groups.size === 0) return;
      let handed = 0;
      const first = this.turn++ % ready.length;
      for (const receiver of [...ready.slice(first), ...ready.slice(0, first)]) {
        const own = groups.get(receiver.instance.id);
        if (own === undefined || receiver.credit < 1 || this.stopped) continue;
        const { id, connection } = receiver.instance;
        const tasks = await this.commands.execute(
          new ClaimTasks(id, connection, own, Math.min(receiver.credit, perClaim)),
        );
        if (tasks.length === 0) continue;
        handed += tasks.length;
        receiver.credit = Math.max(0, receiver.credit - tasks.length);
        if (!this.receivers.has(receiver) || !receiver.offer(tasks)) await this.takeBack(receiver, tasks);
      }
      if (handed === 0) return;
    }
    this.again = true;
  }

  /** Claimed for a connection that went away meanwhile: its agent never saw them. */
  private async takeBack(receiver: Receiver, tasks: readonly TaskAssignment[]): Promise<void> {
    for (const { taskId, fence } of tasks) {
      await this.commands
        .execute(
          new ReleaseAttempt(
            { actorId: receiver.actor.id, taskId, fence },
            { reason: 'the connection was gone before the task arrived' },
          ),
        )
        .catch((error: unknown) =>
          this.log.warn({ err: error, taskId, fence }, 'could not give a task back; its lease will expire'),
        );
    }
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
