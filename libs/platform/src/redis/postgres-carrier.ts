import { Logger } from '@nestjs/common';
import pg from 'pg';
import type { Database } from '#platform/database';
import type { Carrier, CarrierListener } from './carrier.ts';

const channel = 'muster_signals';
const applicationName = 'muster signals';
/** What a replica says when it begins to listen; no message of ours. */
const hello = 'hello';
/** How long it is believed that nobody else listens: as long as anybody goes without looking by itself. */
const aloneForMs = 1_000;

/** LISTEN and NOTIFY, for installations without Redis. Listens on a connection beside the pool; sends through the pool. */
export class PostgresCarrier implements Carrier {
  readonly kind = 'postgres';
  /** PostgreSQL refuses 8000 and more. */
  readonly maxBytes = 7_900;
  readonly #log = new Logger('signals');
  #client: pg.Client | null = null;
  #process = 0;
  /** Counts what others have said, so that who comes during the question counts. */
  #heard = 0;
  /** When it was seen that nobody else listens. */
  #aloneSince = Number.NEGATIVE_INFINITY;
  #stopping = false;
  #running: Promise<void> = Promise.resolve();
  #wake: () => void = () => {};

  constructor(private readonly database: Database) {}

  get connected(): boolean {
    return this.#client !== null;
  }

  start(listener: CarrierListener): void {
    this.#running = this.#run(listener);
  }

  /**
   * Nobody else listens, nothing is notified: a transaction that notifies is written to the log and waited for, and an
   * installation of one server would pay that for nothing. Who else listens is asked once a second; who comes says so.
   */
  async send(texts: readonly string[]): Promise<void> {
    const askedAt = performance.now();
    if (askedAt - this.#aloneSince < aloneForMs) return;
    const heard = this.#heard;
    const told = await this.database.sql(
      `select pg_notify('${channel}', text) from unnest($1::text[]) as text
       where exists (select from pg_stat_activity where datname = current_database() and application_name = '${applicationName}' and pid <> $2)`,
      [texts, this.#process],
    );
    if (told.length === 0 && this.#heard === heard) this.#aloneSince = askedAt;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.#running;
  }

  async #run(listener: CarrierListener): Promise<void> {
    for (let failures = 0; !this.#stopping;) {
      const client = new pg.Client({ ...this.database.connection, application_name: applicationName, keepAlive: true });
      const ended = new Promise<void>((resolve) => {
        this.#wake = resolve;
        client.on('error', () => resolve());
        client.on('end', () => resolve());
      });
      client.on('notification', ({ payload, processId }) => {
        if (processId !== this.#process) {
          this.#heard += 1;
          this.#aloneSince = Number.NEGATIVE_INFINITY;
        }
        if (payload !== hello) listener.received(payload ?? '');
      });
      try {
        await client.connect();
        const { rows } = await client.query<{ pid: number }>(`select pg_backend_pid() as pid`);
        this.#process = rows[0]?.pid ?? 0;
        await client.query(`listen ${channel}`);
        await client.query(`notify ${channel}, '${hello}'`);
        this.#aloneSince = Number.NEGATIVE_INFINITY;
        this.#client = client;
        failures = 0;
        listener.opened();
        await ended;
      } catch (error) {
        if (failures++ === 0 && !this.#stopping)
          this.#log.warn(
            `Signals cannot listen at PostgreSQL and try again; until then only time is lost: ${String(error)}`,
          );
      } finally {
        this.#client = null;
        await client.end().catch(() => {});
      }
      if (!this.#stopping) await this.#pause(Math.min(50 * 2 ** failures, 5_000));
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
