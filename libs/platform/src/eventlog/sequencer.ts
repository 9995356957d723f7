import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';
import { Database } from '#platform/database';
import { EventLog } from './event-log.ts';

/** Any number that no other program locks in this database. */
const electionLock = 7_265_002;
const batch = 1000;
/** How often to look without having been told; only lost hints wait for it. */
const pollMs = 500;

/**
 * Gives events their position. One process is elected by an advisory lock on a connection of its own and moves what was
 * committed to the inbox into the log, batch by batch: a position is given after its event was committed, so readers never
 * see a gap that fills later. Everyone else listens. Nothing is notified inside a writing transaction.
 */
@Injectable()
export class Sequencer implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #log = new Logger('event-log');
  #client: pg.Client | null = null;
  #elected = false;
  #stopping = false;
  #running: Promise<void> | null = null;
  #wake: () => void = () => {};
  #hinted = false;
  #hinting = false;
  #offAppended: () => void = () => {};

  constructor(
    private readonly database: Database,
    private readonly events: EventLog,
  ) {}

  onApplicationBootstrap(): void {
    this.start();
  }

  /** Begins to take part in the election; the hooks of Nest call it. */
  start(): void {
    this.#offAppended = this.database.onAppended(() => this.#hint());
    this.#running = this.#run();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping = true;
    this.#offAppended();
    this.#wake();
    await this.#running;
  }

  get elected(): boolean {
    return this.#elected;
  }

  /** Something was committed in this process: do it, or tell whoever is elected. */
  #hint(): void {
    this.#hinted = true;
    if (this.#elected) return this.#wake();
    if (this.#hinting) return;
    this.#hinting = true;
    setImmediate(() => {
      this.#hinting = false;
      this.database.sql(`select pg_notify('muster_inbox', '')`).catch(() => {});
    });
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#stopping;) {
      try {
        await this.#connected(() => (failures = 0));
      } catch (error) {
        if (this.#stopping) return;
        // A server that restarts; readers go on with what they have.
        if (failures++ === 0) this.#log.warn(`The event log lost its connection and opens another: ${String(error)}`);
        await this.#sleep(Math.min(50 * 2 ** failures, 5000));
      } finally {
        this.#elected = false;
        const client = this.#client;
        this.#client = null;
        await client?.end().catch(() => {});
      }
    }
  }

  async #connected(ready: () => void): Promise<void> {
    const client = new pg.Client({ ...this.database.connection, application_name: 'muster event log' });
    const lost: Error[] = [];
    client.on('error', (error) => {
      lost.push(error);
      this.#wake();
    });
    client.on('notification', ({ channel, payload }) => {
      if (channel === 'muster_events') this.events.announce(Number(payload));
      else if (this.#elected) this.#hint();
    });
    await client.connect();
    this.#client = client;
    await client.query('listen muster_events; listen muster_inbox');
    ready();
    while (!this.#stopping) {
      if (lost[0] !== undefined) throw lost[0];
      this.#hinted = false;
      if (!this.#elected) {
        const { rows } = await client.query<{ elected: boolean }>('select pg_try_advisory_lock($1) as elected', [
          electionLock,
        ]);
        this.#elected = rows[0]?.elected === true;
        if (!this.#elected) this.events.announce(await this.events.head());
      }
      if (this.#elected) while ((await this.#sequence(client)) === batch && !this.#stopping);
      if (!this.#hinted) await this.#sleep(pollMs);
    }
  }

  /** Moves one batch and writes the deliveries that reactions are owed, all in one statement. */
  async #sequence(client: pg.Client): Promise<number> {
    const { rows } = await client.query<{ count: string; head: string | null }>({
      name: 'sequence events',
      text: `
        with moved as (
          delete from event_inbox where seq in (select seq from event_inbox order by seq limit ${batch}) returning *
        ), head as (
          update event_log_head set position = position + (select count(*) from moved) where exists (select from moved)
          returning position - (select count(*) from moved) as base
        ), placed as (
          insert into events (position, id, type, team_id, project_id, subject, time, priority, data, traceparent)
          select head.base + row_number() over (order by seq), id, type, team_id, project_id, subject, time, priority, data, traceparent
          from moved, head
          returning position, type, priority
        ), owed as (
          insert into event_deliveries (reaction, position, rank)
          select r.name, placed.position, array_position(array['critical', 'high', 'normal', 'low'], placed.priority)
          from placed join event_reactions r on placed.type = any (r.types) or (exists (
            select from unnest(r.types) as p
            where p = '*' or (right(p, 2) = '.*' and starts_with(placed.type, left(p, -1)))
          ) and not exists (
            select from unnest(r.types) as p
            where starts_with(p, '!') and right(p, 2) = '.*' and starts_with(placed.type, substr(left(p, -1), 2))
          ))
        )
        select count(*) as count, max(position) as head from placed`,
    });
    const count = Number(rows[0]?.count ?? 0);
    if (count > 0) {
      const head = Number(rows[0]?.head);
      this.events.announce(head);
      await client.query(`select pg_notify('muster_events', $1)`, [String(head)]);
    }
    return count;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
