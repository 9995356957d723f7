import { Injectable } from '@nestjs/common';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { context, propagation } from '@opentelemetry/api';
import { CompiledQuery, type ControlledTransaction } from 'kysely';
import pg from 'pg';
import { Ids, type NewEvent, type Tx } from '#kernel';
import { HotConnections } from './hot-connections.ts';
import { giveBackLostConnections } from './lost-connections.ts';
import { idleInTransactionMs, resultTypes } from './orm.ts';
import { isConnectionBroken, sqlState } from './sql-errors.ts';

/** A transaction with the ORM at hand: what `em` holds is flushed before the events are written. */
export interface Transaction extends Tx {
  readonly em: EntityManager;
}

type AppendListener = (head: number, events: readonly NewEvent[], owed: boolean) => void;

/** PostgreSQL's way of saying "try again": serialization failure, deadlock. */
const retryable = new Set(['40001', '40P01']);
const attempts = 4;
/** One for each verb that commits at the same moment, and some for reads between them. */
export const hotConnections = 10;
/**
 * Plans do not change with what the statistics of the moment say: tables through which rows move look empty to the planner now and full
 * of dead rows a minute later, and a plan that was right for the one reads everything in the other. Every hot statement has an index for
 * each table that it meets. `muster.hot` tells triggers that the statement commits by itself.
 */
export const hotPlanning = '-c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c jit=off -c muster.hot=on';

/**
 * The one way to PostgreSQL. A transaction is for one command: its events are its last statement, and nothing external
 * happens while it is open, so that it may be repeated when PostgreSQL asks for it.
 */
@Injectable()
export class Database {
  readonly #appended = new Set<AppendListener>();
  #hot: HotConnections | null = null;
  #closed = false;

  constructor(
    private readonly orm: MikroORM,
    readonly pool: pg.Pool,
    private readonly ids: Ids,
  ) {
    giveBackLostConnections(pool);
  }

  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      // Lost before its commit was sent, nothing of it is there; after that nobody knows.
      let committing = false;
      try {
        return await this.#once(work, () => (committing = true));
      } catch (error) {
        const again = retryable.has(sqlState(error) ?? '') || (!committing && isConnectionBroken(error));
        if (attempt >= attempts || !again) throw error;
        await new Promise((wake) => setTimeout(wake, Math.random() * 20 * attempt));
      }
    }
  }

  /** Several statements that read the same moment: what is written meanwhile is in all of their answers or in none. */
  snapshot<T>(read: (db: Pick<Tx, 'sql'>) => Promise<T>): Promise<T> {
    return this.transaction(async (tx) => {
      await tx.sql('set transaction isolation level repeatable read, read only');
      return read(tx);
    });
  }

  /** Outside of any transaction. @param text SQL with `$1` placeholders */
  async sql<Row extends object>(text: string, params: readonly unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(text, [...params])).rows;
  }

  /**
   * One statement that commits by itself, prepared once for each connection: for the hot verbs, whose rows and events are one
   * round trip. Its events are `append_events_of(...)` as its last expression; tell `appended` what that returned.
   * @param name stands for the text: one name, one text
   */
  async hot<Row extends object>(name: string, text: string, params: readonly unknown[]): Promise<Row[]> {
    if (this.#closed) throw new Error('This server has closed its connections to the database.');
    this.#hot ??= new HotConnections(Array.from({ length: hotConnections }, () => this.#hotPool()));
    return this.#hot.query<Row>(name, text, [...params]);
  }

  /** The connections of hot verbs; MikroORM closes the others. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#hot?.end();
    this.#hot = null;
  }

  /** Connections of their own, for how they plan. */
  #hotPool(): pg.Pool {
    const pool = new pg.Pool({
      ...this.connection,
      types: resultTypes,
      application_name: 'muster hot',
      keepAlive: true,
      max: 1,
      idle_in_transaction_session_timeout: idleInTransactionMs,
      options: hotPlanning,
    });
    pool.on('error', () => {});
    giveBackLostConnections(pool);
    return pool;
  }

  /**
   * Events as `append_events` takes them, in the trace that is running: a JSON array for
   * `array(select e from jsonb_populate_recordset(null::event_draft, $1::jsonb) as e)`.
   */
  drafts(events: readonly NewEvent[]): string {
    const carrier: { traceparent?: string } = {};
    propagation.inject(context.active(), carrier);
    return JSON.stringify(
      events.map((event) => ({
        id: event.id ?? this.ids.next('event'),
        type: event.type,
        team_id: event.teamId,
        project_id: event.projectId,
        subject: event.subject,
        priority: event.priority ?? 'normal',
        data: event.data,
        traceparent: event.traceparent === undefined ? (carrier.traceparent ?? null) : event.traceparent,
      })),
    );
  }

  /**
   * After a commit that appended: readers here hear of it at once, those of other servers within milliseconds.
   * @param head null: nothing was
   * @param owed whether some reaction has to be run for it; true when that is not known
   */
  appended(head: number | null, owed = true, events: readonly NewEvent[] = []): void {
    if (head !== null) for (const listener of this.#appended) listener(head, events, owed);
  }

  /** A fresh fork, for reads. */
  em(): EntityManager {
    return this.orm.em.fork();
  }

  /** For a connection beside the pool, which listens or holds a lock for long. */
  get connection(): pg.ClientConfig {
    return { connectionString: this.orm.config.get('clientUrl') };
  }

  /**
   * Called after each commit of this process that appended events, before its caller is answered: with the position of the last
   * of them, and with the events themselves where a transaction wrote them (those of hot verbs are known to PostgreSQL only).
   */
  onAppended(listener: AppendListener): () => void {
    this.#appended.add(listener);
    return () => this.#appended.delete(listener);
  }

  async #once<T>(work: (tx: Transaction) => Promise<T>, onCommit: () => void): Promise<T> {
    const events: NewEvent[] = [];
    let head: number | null = null;
    const result = await this.orm.em.fork().transactional(async (em) => {
      const running = em.getTransactionContext<ControlledTransaction<unknown>>();
      if (running === undefined) throw new Error('The transaction did not begin.');
      const sql = async <Row extends object>(text: string, params: readonly unknown[] = []): Promise<Row[]> =>
        (await running.executeQuery<Row>(CompiledQuery.raw(text, [...params]))).rows;
      const value = await work({ em, sql: refusingTheLogsLock(sql), append: (...more) => void events.push(...more) });
      await em.flush();
      onCommit();
      if (events.length > 0) head = await appendAndCommit(sql, this.drafts(events));
      return value;
    });
    this.appended(head, true, events);
    return result;
  }
}

/** Behind the log's lock there is nothing but the commit: a statement of a transaction that took it would keep everybody from writing until this process goes on. */
const refusingTheLogsLock =
  (sql: Tx['sql']): Tx['sql'] =>
  (text, params) => {
    if (text.includes('append_events'))
      throw new Error('A transaction tells of events by `append`, which writes them in the message that commits.');
    return sql(text, params);
  };

/** @param drafts as `Database.drafts` makes them */
const appending = (drafts: string): string =>
  `append_events(array(select e from jsonb_populate_recordset(null::event_draft, ${pg.escapeLiteral(drafts)}::jsonb) as e))`;

/**
 * Appending and committing in one message: whoever appends next waits for this commit, and must not wait for a process that
 * is slow, paused or gone in between. The transaction that PostgreSQL begins behind it has nothing left to do but to end.
 */
async function appendAndCommit(sql: Tx['sql'], drafts: string): Promise<number | null> {
  await sql(`select set_config('muster.appended', ${appending(drafts)}::text, false); commit and chain`);
  const [row] = await sql<{ head: number }>(`select current_setting('muster.appended')::bigint as head`);
  return row?.head ?? null;
}
