import { Injectable } from '@nestjs/common';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { context, propagation } from '@opentelemetry/api';
import { CompiledQuery, type ControlledTransaction } from 'kysely';
import type { ClientConfig, Pool } from 'pg';
import { Ids, type NewEvent, type Tx } from '#kernel';

/** A transaction with the ORM at hand: what `em` holds is flushed before the events are written. */
export interface Transaction extends Tx {
  readonly em: EntityManager;
}

/** PostgreSQL's way of saying "try again": serialization failure, deadlock. */
const retryable = new Set(['40001', '40P01']);
const attempts = 4;

/**
 * The one way to PostgreSQL. A transaction is for one command: its events are its last statement, and nothing external
 * happens while it is open, so that it may be repeated when PostgreSQL asks for it.
 */
@Injectable()
export class Database {
  readonly #committed = new Set<() => void>();

  constructor(
    private readonly orm: MikroORM,
    readonly pool: Pool,
    private readonly ids: Ids,
  ) {}

  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(work);
      } catch (error) {
        if (attempt >= attempts || !retryable.has(sqlState(error) ?? '')) throw error;
        await new Promise((wake) => setTimeout(wake, Math.random() * 20 * attempt));
      }
    }
  }

  /** Outside of any transaction. @param text SQL with `$1` placeholders */
  async sql<Row extends object>(text: string, params: readonly unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(text, [...params])).rows;
  }

  /** A fresh fork, for reads. */
  em(): EntityManager {
    return this.orm.em.fork();
  }

  /** For a connection beside the pool, which listens or holds a lock for long. */
  get connection(): ClientConfig {
    return { connectionString: this.orm.config.get('clientUrl') };
  }

  /** Called after each commit that appended events: the event log's hint that there is something to do. */
  onAppended(listener: () => void): () => void {
    this.#committed.add(listener);
    return () => this.#committed.delete(listener);
  }

  async #once<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const events: NewEvent[] = [];
    const result = await this.orm.em.fork().transactional(async (em) => {
      const running = em.getTransactionContext<ControlledTransaction<unknown>>();
      if (running === undefined) throw new Error('The transaction did not begin.');
      const sql = async <Row extends object>(text: string, params: readonly unknown[] = []): Promise<Row[]> =>
        (await running.executeQuery<Row>(CompiledQuery.raw(text, [...params]))).rows;
      const value = await work({ em, sql, append: (...more) => void events.push(...more) });
      await em.flush();
      if (events.length > 0) await appendEvents(sql, this.ids, events);
      return value;
    });
    if (events.length > 0) for (const listener of this.#committed) listener();
    return result;
  }
}

async function appendEvents(sql: Tx['sql'], ids: Ids, events: readonly NewEvent[]): Promise<void> {
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  const rows = events.map((event, place) => ({
    place,
    id: event.id ?? ids.next('event'),
    type: event.type,
    team_id: event.teamId,
    project_id: event.projectId,
    subject: event.subject,
    priority: event.priority ?? 'normal',
    data: event.data,
    traceparent: carrier.traceparent ?? null,
  }));
  await sql(
    `insert into event_inbox (id, type, team_id, project_id, subject, priority, data, traceparent)
     select id, type, team_id, project_id, subject, priority, data, traceparent
     from jsonb_to_recordset($1::jsonb)
       as e (place int, id text, type text, team_id text, project_id text, subject text, priority text, data jsonb, traceparent text)
     order by place`,
    [JSON.stringify(rows)],
  );
}

/** PostgreSQL's five-character error code, through whatever the ORM wrapped around it. */
export const sqlState = (error: unknown): string | null => {
  const code = fieldOf(error, 'code');
  return code !== null && /^[0-9A-Z]{5}$/.test(code) ? code : null;
};

/** The name of the constraint that refused a write, or null when it was something else. */
export const violatedConstraint = (error: unknown): string | null => fieldOf(error, 'constraint');

function fieldOf(error: unknown, field: 'code' | 'constraint'): string | null {
  for (let at: unknown = error, depth = 0; typeof at === 'object' && at !== null && depth < 5; depth++) {
    const value: unknown = Reflect.get(at, field);
    if (typeof value === 'string') return value;
    at = Reflect.get(at, 'cause') ?? Reflect.get(at, 'previous');
  }
  return null;
}
