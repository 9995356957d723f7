import type { HotSql } from './claim.ts';

export interface NewTaskRow {
  readonly id: string;
  readonly lane: number;
  readonly title: string | null;
  /** JSON. */
  readonly input: string;
  readonly maxAttempts: number;
  readonly notBefore: string | null;
  readonly parentId: string | null;
  readonly depth: number;
  readonly reopens: string | null;
  readonly requestedBy: string;
  readonly idempotencyKey: string | null;
  readonly eventId: string;
  /** The event's data, JSON. */
  readonly data: string;
  readonly traceparent: string | null;
}

/**
 * Many new tasks, one statement. What their lane says about them is read from there. A key that the team has used before makes
 * no task: the constraint decides, also among many at once and within the batch. What was made under the same id before, when
 * the answer was lost, counts as made.
 */
const createText = `
  with clock as materialized (select muster_now() as now),
  given as materialized (
    select * from unnest($1::text[], $2::int[], $3::text[], $4::jsonb[], $5::int[], $6::timestamptz[], $7::text[], $8::int[], $9::text[], $10::text[], $11::text[],
      $12::text[], $13::jsonb[], $14::text[])
      as i(id, lane, title, input, max_attempts, not_before, parent_id, depth, reopens, requested_by, idempotency_key, event_id, data, traceparent)
  ),
  made as (
    insert into tasks (id, team_id, project_id, capability, title, input, priority, state, lane, ready_seq, max_attempts, parent_id, depth, reopens,
      requested_by, idempotency_key, created_at, updated_at)
    select i.id, l.team_id, l.project_id, l.capability, i.title, i.input, l.priority, 'open', i.lane,
      case when i.not_before is null or i.not_before <= c.now then nextval('task_ready_seq') end, i.max_attempts, i.parent_id, i.depth, i.reopens,
      i.requested_by, i.idempotency_key, c.now, c.now
    from given i join task_lanes l on l.id = i.lane, clock c
    on conflict do nothing
    returning id, lane, ready_seq, team_id, project_id, priority
  ),
  queued as (
    insert into task_ready (lane, seq, task_id, ready_at, attempts)
    select m.lane, m.ready_seq, m.id, c.now, 0 from made m, clock c where m.ready_seq is not null
  ),
  delayed as (
    insert into task_due (task_id, kind, at)
    select m.id, 'delay', i.not_before from made m join given i on i.id = m.id where m.ready_seq is null
  ),
  told as (
    select m.id, m.ready_seq, row(i.event_id, 'task.created', m.team_id, m.project_id, m.id,
      (array['critical', 'high', 'normal', 'low'])[m.priority + 1], i.data, i.traceparent)::event_draft as event
    from made m join given i on i.id = m.id
  )
  select coalesce(array_agg(id), '{}') || array(
      select t.id from (select i.id from given i left join made m on m.id = i.id where m.id is null offset 0) i join tasks t on t.id = i.id
    ) as made, min(ready_seq) as first, (select now from clock) as now, append_events(array_agg(event)) as head
  from told`;

export interface Created {
  readonly made: ReadonlySet<string>;
  /** The lowest place in any lane that one of them got. */
  readonly first: number | null;
  readonly now: Date;
}

export async function create(db: HotSql, tasks: readonly NewTaskRow[]): Promise<Created> {
  const [row] = await db.hot<{ made: string[]; first: number | null; now: Date; head: number | null }>(
    'create tasks',
    createText,
    [
      tasks.map((task) => task.id),
      tasks.map((task) => task.lane),
      tasks.map((task) => task.title),
      tasks.map((task) => task.input),
      tasks.map((task) => task.maxAttempts),
      tasks.map((task) => task.notBefore),
      tasks.map((task) => task.parentId),
      tasks.map((task) => task.depth),
      tasks.map((task) => task.reopens),
      tasks.map((task) => task.requestedBy),
      tasks.map((task) => task.idempotencyKey),
      tasks.map((task) => task.eventId),
      tasks.map((task) => task.data),
      tasks.map((task) => task.traceparent),
    ],
  );
  if (row === undefined) throw new Error('A statement that aggregates returned no row.');
  db.appended(row.head);
  return { made: new Set(row.made), first: row.first, now: row.now };
}
