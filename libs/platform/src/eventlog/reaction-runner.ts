import { hash } from 'node:crypto';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { context, propagation } from '@opentelemetry/api';
import pg from 'pg';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { eventColumns, EventLog, type EventRow, toCloudEvent } from './event-log.ts';
import { Reaction, type ReactionOptions, type Reacts } from './reaction.ts';

/** After this many failures a delivery is set aside for a person. */
const maxAttempts = 10;
/** How often a worker tries to get the reactions that others run. */
const pollMs = 1000;
/** All that is owed is looked for by one question each second; each reaction looks for itself only in case that went wrong. */
const looksItselfMs = 30_000;
const batch = 20;
/** Events come faster than it is worth looking whether one of them is owed to anybody. */
const lookEveryMs = 5;
/** What `append_events` compares with: `room.one`, `room.*`, `*` and `!room.*`. */
const typePattern = /^(\*|!?[a-z0-9_]+\.\*|[a-z0-9_]+(\.[a-z0-9_]+)*)$/;
/** First retry after a quarter of a second, doubling up to a minute: about three minutes until the dead letter. */
const backoffMs = (attempt: number): number => Math.min(250 * 2 ** (attempt - 1), 60_000);

const dueDeliveries = `
  select ${eventColumns.replace(/(\w+)/g, 'e.$1')}, d.attempts
  from event_deliveries d join events e using (position)
  where d.reaction = $1 and d.dead_at is null and d.due_at <= clock_timestamp()
  order by d.rank, d.position limit ${batch}`;

const owedReactions = `
  select name from event_reactions r where exists (
    select from event_deliveries d where d.reaction = r.name and d.dead_at is null and d.due_at <= clock_timestamp())`;

interface Known {
  readonly options: ReactionOptions;
  readonly reacts: Reacts;
}

/**
 * Runs reactions: each one event at a time, the critical first, then by position; different reactions side by side. One
 * worker runs a given reaction at a time, by an advisory lock that ends with its connection.
 */
@Injectable()
export class ReactionRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #log = new Logger('reactions');
  readonly #sleeping = new Map<string, Set<() => void>>();
  readonly #ends = new Set<() => void>();
  #looking = false;
  #lookAgain = false;
  #stopping = false;
  #running: Promise<void> | null = null;
  #offOwed: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly events: EventLog,
    private readonly discovery: DiscoveryService,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    if (this.config.role === 'all' || this.config.role === 'worker') await this.start(this.#discover());
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping = true;
    this.#offOwed();
    clearInterval(this.#timer);
    this.#wakeAll();
    await this.#running;
  }

  /** Registers the reactions and begins to run them. A reaction that is new to the log starts with what happens from now on. */
  async start(reactions: readonly Known[]): Promise<void> {
    const register = async (): Promise<void> => {
      for (const { options } of reactions) {
        await this.database.sql(
          `insert into event_reactions (name, types, conditions) values ($1, $2, $3)
           on conflict (name) do update
             set types = excluded.types, conditions = excluded.conditions, seen_at = clock_timestamp()`,
          [options.name, options.types, JSON.stringify(options.where ?? {})],
        );
      }
      // A reaction that no worker has had for a week is gone from the code. Sooner could be a rollout that is under way.
      await this.database.sql(`delete from event_reactions where seen_at < clock_timestamp() - interval '7 days'`);
    };
    await register();
    this.#timer = setInterval(() => void register().catch(() => {}), 3_600_000).unref();
    this.#offOwed = this.events.onOwed(() => this.#look());
    this.#running = this.#run(reactions);
  }

  #discover(): Known[] {
    const known = this.discovery.getProviders().flatMap((wrapper) => {
      const options = this.discovery.getMetadataByDecorator(Reaction, wrapper);
      return options === undefined ? [] : [{ options, reacts: wrapper.instance as Reacts }];
    });
    const names = known.map(({ options }) => options.name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined)
      throw new Error(`Two reactions have the name "${twice}". Give each its own: deliveries are kept under it.`);
    for (const { options } of known) {
      const unknown = options.types.find((type) => !typePattern.test(type));
      if (unknown !== undefined)
        throw new Error(`The reaction "${options.name}" names "${unknown}". Types are room.one, room.*, * or !room.*.`);
    }
    return known;
  }

  #wakeAll(): void {
    for (const wake of [...[...this.#sleeping.values()].flatMap((wakes) => [...wakes]), ...this.#ends]) wake();
  }

  /** Wakes the reactions that are owed something: one question for all that was appended, instead of one each time for each. */
  #look(): void {
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    void (async () => {
      while (this.#lookAgain && !this.#stopping) {
        this.#lookAgain = false;
        const owed = await this.database.sql<{ name: string }>(owedReactions);
        for (const { name } of owed) for (const wake of this.#sleeping.get(name) ?? []) wake();
        await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      }
    })()
      // The next look is a second away.
      .catch(() => {})
      .finally(() => (this.#looking = false));
  }

  /** Holds the locks of the reactions that this worker runs; all on one connection, lost together. */
  async #run(reactions: readonly Known[]): Promise<void> {
    for (let failures = 0; !this.#stopping;) {
      const client = new pg.Client({ ...this.database.connection, application_name: 'muster reactions' });
      const lost = new AbortController();
      const draining = new Map<Known, Promise<void>>();
      const lose = (): void => {
        lost.abort();
        this.#wakeAll();
      };
      client.on('error', lose);
      client.on('end', lose);
      try {
        await client.connect();
        failures = 0;
        while (!this.#stopping && !lost.signal.aborted) {
          const sleep = this.#sleep(pollMs, this.#ends);
          const others = reactions.filter((reaction) => !draining.has(reaction));
          for (const reaction of await locked(client, others))
            draining.set(reaction, this.#drain(reaction, lost.signal));
          if (lost.signal.aborted) sleep.cancel();
          await sleep.done;
        }
      } catch (error) {
        if (failures++ === 0 && !this.#stopping)
          this.#log.warn(`Reactions lost their connection and open another: ${String(error)}`);
        await this.#sleep(Math.min(50 * 2 ** failures, 5000), this.#ends).done;
      } finally {
        lose();
        await Promise.all(draining.values());
        await client.end().catch(() => {});
      }
    }
  }

  async #drain(reaction: Known, lost: AbortSignal): Promise<void> {
    const wakes = this.#sleeping.get(reaction.options.name) ?? new Set();
    this.#sleeping.set(reaction.options.name, wakes);
    while (!this.#stopping && !lost.aborted) {
      const sleep = this.#sleep(looksItselfMs, wakes);
      try {
        const rows = await this.database.sql<EventRow & { attempts: number }>(dueDeliveries, [reaction.options.name]);
        for (const row of rows) {
          if (this.#stopping || lost.aborted) break;
          await this.#deliver(reaction, row);
        }
        if (rows.length > 0) sleep.cancel();
      } catch (error) {
        if (!this.#stopping) this.#log.warn(`${reaction.options.name}: ${String(error)}`);
      }
      await sleep.done;
    }
  }

  async #deliver({ options, reacts }: Known, row: EventRow & { attempts: number }): Promise<void> {
    const event = toCloudEvent(row);
    const caused = propagation.extract(context.active(), { traceparent: row.traceparent ?? undefined });
    try {
      await context.with(caused, () => reacts.react(event));
    } catch (error) {
      const attempt = row.attempts + 1;
      const dead = attempt >= maxAttempts;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const facts = { err: error, reaction: options.name, event: event.id, type: event.type, attempt };
      if (dead) this.#log.error({ ...facts, msg: 'A reaction failed for the last time; its delivery is set aside' });
      else this.#log.warn({ ...facts, msg: 'A reaction failed and is tried again' });
      await this.database.sql(
        `update event_deliveries set attempts = $3, error = $4, due_at = clock_timestamp() + $5 * interval '1 millisecond',
           dead_at = case when $6 then clock_timestamp() end
         where reaction = $1 and position = $2`,
        [options.name, row.position, attempt, text.replaceAll('\0', '').slice(0, 8000), backoffMs(attempt), dead],
      );
      if (!dead) setTimeout(() => this.#look(), backoffMs(attempt) + 5).unref();
      return;
    }
    await this.database.sql('delete from event_deliveries where reaction = $1 and position = $2', [
      options.name,
      row.position,
    ]);
  }

  /** Begun before the look at the table, so that a wake in between is not lost. @param wakes where to hear of it */
  #sleep(ms: number, wakes: Set<() => void>): { done: Promise<void>; cancel: () => void } {
    let cancel = (): void => {};
    const done = new Promise<void>((resolve) => {
      const timer = setTimeout(() => cancel(), ms);
      cancel = () => {
        clearTimeout(timer);
        wakes.delete(cancel);
        resolve();
      };
      wakes.add(cancel);
    });
    return { done, cancel };
  }
}

/** Those of these reactions that nobody ran, and that are this connection's now; by one question for all of them. */
async function locked(client: pg.Client, reactions: readonly Known[]): Promise<Known[]> {
  if (reactions.length === 0) return [];
  const { rows } = await client.query<{ no: number }>(
    'select no::int from unnest($1::int[]) with ordinality as r (key, no) where pg_try_advisory_lock(7265003, key)',
    [reactions.map(({ options }) => lockKey(options.name))],
  );
  return rows.flatMap(({ no }) => reactions[no - 1] ?? []);
}

/** 32 bits of the name. Two that met would run one after the other, not wrongly. */
const lockKey = (name: string): number => Buffer.from(hash('sha256', name, 'buffer')).readInt32BE(0);
