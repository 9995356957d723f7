import { Injectable } from '@nestjs/common';
import type { CloudEvent } from '@muster/contracts';
import { Database } from '#platform/database';

export interface EventRow {
  readonly position: number;
  readonly id: string;
  readonly type: string;
  readonly team_id: string;
  readonly project_id: string | null;
  readonly subject: string | null;
  readonly time: Date;
  readonly priority: CloudEvent['priority'];
  readonly data: CloudEvent['data'];
  readonly traceparent: string | null;
}

export const toCloudEvent = (row: EventRow): CloudEvent => ({
  specversion: '1.0',
  id: row.id,
  type: row.type,
  source: row.project_id === null ? `/teams/${row.team_id}` : `/projects/${row.project_id}`,
  subject: row.subject,
  time: row.time.toISOString(),
  datacontenttype: 'application/json',
  data: row.data,
  position: row.position,
  priority: row.priority,
  teamid: row.team_id,
  projectid: row.project_id,
  traceparent: row.traceparent,
});

export const eventColumns = 'position, id, type, team_id, project_id, subject, time, priority, data, traceparent';

/** SQL for "this type is one of these patterns": exact, `room.*`, or `*`. */
export const typeMatches = (column: string, patterns: string): string =>
  `exists (select 1 from unnest(${patterns}) as p where p = '*' or ${column} = p
     or (right(p, 2) = '.*' and left(${column}, length(p) - 1) = left(p, -1)))`;

/** What there is of the log. */
interface Ends {
  readonly head: number;
  readonly oldest: number;
}

/** @param here whether a commit of this process told of it */
type AdvanceListener = (here: boolean) => void;

/** Some ten milliseconds' worth. */
const looksAtAtOnce = 10_000;

/** The log of what happened, in one gap-free order. Readers remember the last position that they have seen. */
@Injectable()
export class EventLog {
  readonly #listeners = new Set<AdvanceListener>();
  readonly #owedListeners = new Set<() => void>();
  #announced = 0;

  constructor(private readonly database: Database) {}

  /**
   * Events after a position, in order, of the next `window` positions; and, as it was at the same moment, where the log ends (0: it
   * is empty) and the oldest event that is kept. Whoever begins before that is given what there is. `types` are exact, or a prefix like `task.*`.
   */
  async read(query: {
    readonly teamId?: string;
    readonly projectId?: string;
    readonly types?: readonly string[];
    readonly after: number;
    readonly window?: number;
    readonly limit: number;
  }): Promise<{ readonly events: CloudEvent[]; readonly head: number; readonly oldest: number }> {
    const where = ['position > ends.start', 'position <= least(ends.head, ends.start + $3)'];
    const params: unknown[] = [query.after, query.limit, query.window ?? Number.MAX_SAFE_INTEGER];
    const bind = (value: unknown): string => `$${params.push(value)}`;
    if (query.teamId !== undefined) where.push(`team_id = ${bind(query.teamId)}`);
    if (query.projectId !== undefined) where.push(`project_id = ${bind(query.projectId)}`);
    if (query.types !== undefined && query.types.length > 0)
      where.push(typeMatches('type', `${bind(query.types)}::text[]`));
    const rows = await this.database.sql<Ends & (EventRow | { readonly id: null })>(
      `with ends as materialized (
         select coalesce((select position from events order by position desc limit 1), 0) as head, oldest, greatest($1, oldest - 1) as start
         from (select coalesce(min(first), 1) as oldest from event_partitions) o
       )
       select ends.head, ends.oldest, e.* from ends left join lateral (
         select ${eventColumns} from events where ${where.join(' and ')} order by position limit $2
       ) e on true order by e.position`,
      params,
    );
    const { head, oldest } = rows[0] ?? { head: 0, oldest: 1 };
    return { events: rows.flatMap((row) => (row.id === null ? [] : toCloudEvent(row))), head, oldest };
  }

  /**
   * Events of a team about some subjects, in order. There is no index by subject, which every event would pay for: so many
   * of the team's events are looked at, and `next` says after which position to go on; null: there are no more up to `upTo`.
   */
  async readAbout(query: {
    readonly teamId: string;
    readonly subjects: readonly string[];
    readonly after: number;
    readonly upTo: number;
    readonly limit: number;
  }): Promise<{ readonly events: CloudEvent[]; readonly next: number | null }> {
    const [last] = await this.database.sql<{ position: number }>(
      `select position from events where team_id = $1 and position > $2 and position <= $3 order by position offset $4 limit 1`,
      [query.teamId, query.after, query.upTo, looksAtAtOnce - 1],
    );
    const edge = last?.position ?? query.upTo;
    const rows = await this.database.sql<EventRow>(
      `select ${eventColumns} from events
       where team_id = $1 and position > $2 and position <= $3 and subject = any ($4::text[]) order by position limit $5`,
      [query.teamId, query.after, edge, query.subjects, query.limit],
    );
    const full = rows.length === query.limit ? rows.at(-1)?.position : undefined;
    return { events: rows.map(toCloudEvent), next: full ?? (edge < query.upTo ? edge : null) };
  }

  /** The last position before a moment, by halves: positions have no gaps and follow the clock. */
  async positionBefore(at: Date): Promise<number> {
    const [row] = await this.database.sql<{ low: number }>(
      `with recursive narrowed (low, high) as (
         select (select min(first) from event_partitions) - 1, coalesce((select position from events order by position desc limit 1), 0) + 1
         union all
         select case when early then middle else low end, case when early then high else middle end
         from narrowed cross join lateral (select (low + high) / 2 as middle) m
           cross join lateral (select coalesce((select time < $1 from events where position = middle), true) as early) e
         where high - low > 1
       )
       select low from narrowed order by high - low limit 1`,
      [at],
    );
    return row?.low ?? 0;
  }

  /** The position of the newest event; 0 while there is none. */
  async head(): Promise<number> {
    const [row] = await this.database.sql<{ position: number }>(
      'select position from events order by position desc limit 1',
    );
    return row?.position ?? 0;
  }

  /** Wakes a reader after new positions exist: coalesced, never the only way to find out, so read again after (re)subscribing. */
  onAdvance(listener: AdvanceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Wakes who runs reactions when one may be owed something new. */
  onOwed(listener: () => void): () => void {
    this.#owedListeners.add(listener);
    return () => this.#owedListeners.delete(listener);
  }

  /**
   * Told of by a commit of this process, or by a look at the log.
   * @param position where the log ends by now; what has been told of already wakes no reader
   * @param owed whether a reaction may have to be run for it
   * @param here a commit of this process
   */
  announce(position: number, owed: boolean, here: boolean): void {
    const isNew = position > this.#announced;
    this.#announced = Math.max(this.#announced, position);
    this.#tell(owed, isNew, here);
  }

  /** Told of by another process, which is not believed how far: readers see for themselves. */
  announceElsewhere(owed: boolean): void {
    this.#tell(owed, true, false);
  }

  #tell(owed: boolean, isNew: boolean, here: boolean): void {
    // Two commits may be told of the wrong way round: what the first of them owes is not less owed for that.
    if (owed) for (const listener of this.#owedListeners) listener();
    if (isNew) for (const listener of this.#listeners) listener(here);
  }
}
