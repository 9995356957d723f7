import { sqlState } from '#platform/database';
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
  /** Its event has the same id behind the prefix of events. */
  readonly traceparent: string | null;
}

/**
 * Many new tasks, one statement. What their lane says about them is read from there. A key that the team has used before makes
 * no task: the constraint decides, also among many at once and within the batch. What was made under the same id before, when
 * the answer was lost, counts as made.
 */
const createText = (onConflict: 'on conflict do nothing' | ''): string => `
  with clock as materialized (select muster_now() as now),
  given as materialized (
    select i.* from jsonb_to_recordset($1::jsonb) as i(id text, lane int, title text, input jsonb, "maxAttempts" int, "notBefore" timestamptz, "parentId" text,
      depth int, reopens text, "requestedBy" text, "idempotencyKey" text, traceparent text)
  ),
  made as (
    insert into tasks (id, team_id, project_id, capability, title, input, priority, state, lane, ready_seq, max_attempts, parent_id, depth, reopens,
      requested_by, idempotency_key, not_before, traceparent, created_at, updated_at)
    select i.id, l.team_id, l.project_id, l.capability, i.title, i.input, l.priority, 'open', i.lane,
      case when i."notBefore" is null or i."notBefore" <= c.now then nextval('task_ready_seq') end, i."maxAttempts", i."parentId", i.depth, i.reopens,
      i."requestedBy", i."idempotencyKey", i."notBefore", i.traceparent, c.now, c.now
    from given i join task_lanes l on l.id = i.lane, clock c
    ${onConflict}
    returning id, lane, ready_seq, team_id, project_id, priority, capability, title, requested_by, reopens, not_before, traceparent
  ),
  queued as (
    insert into task_ready (lane, seq, task_id, ready_at, attempts)
    select m.lane, m.ready_seq, m.id, c.now, 0 from made m, clock c where m.ready_seq is not null
  ),
  delayed as (
    insert into task_due (task_id, kind, at)
    select m.id, 'delay', m.not_before from made m where m.ready_seq is null
  ),
  told as (
    select m.id, m.ready_seq, row('evt' || substr(m.id, 5), 'task.created', m.team_id, m.project_id, m.id,
      (array['critical', 'high', 'normal', 'low'])[m.priority + 1],
      jsonb_build_object('taskId', m.id, 'capability', m.capability, 'title', m.title, 'requestedBy', m.requested_by, 'reopens', m.reopens),
      m.traceparent)::event_draft as event
    from made m
  )
  select count(*)::int as count, case when count(*) < (select count(*) from given) then coalesce(array_agg(id), '{}') || array(
      select t.id from (select i.id from given i left join made m on m.id = i.id where m.id is null offset 0) i join tasks t on t.id = i.id
    ) end as made, min(ready_seq) as first, (select now from clock) as now, append_events(array_agg(event)) as head
  from told`;
const createCarefully = createText('on conflict do nothing');
/** Half the work for a row: nothing is looked up before, and nothing is confirmed after. For tasks that have no key. */
const createPlainly = createText('');
const UNIQUE_VIOLATION = '23505';

export interface Created {
  /** Null: all of them. */
  readonly made: ReadonlySet<string> | null;
  /** The lowest place in any lane that one of them got. */
  readonly first: number | null;
  readonly now: Date;
}

interface CreateAnswer {
  readonly made: string[] | null;
  readonly first: number | null;
  readonly now: Date;
  readonly head: number | null;
}

export async function create(db: HotSql, tasks: readonly NewTaskRow[]): Promise<Created> {
  const given = [`[${tasks.map(textOf).join(',')}]`];
  const carefully = () => db.hot<CreateAnswer>('create tasks', createCarefully, given);
  const plainly = () =>
    db.hot<CreateAnswer>('create tasks without keys', createPlainly, given).catch((error: unknown) => {
      // Some of them were made before, when the answer was lost.
      if (sqlState(error) === UNIQUE_VIOLATION) return carefully();
      throw error;
    });
  const [row] = await (tasks.some((task) => task.idempotencyKey !== null) ? carefully() : plainly());
  if (row === undefined) throw new Error('A statement that aggregates returned no row.');
  db.appended(row.head);
  return { made: row.made === null ? null : new Set(row.made), first: row.first, now: row.now };
}

/** What is null is left out. Ids need no escape, and the input is JSON as it is. */
function textOf(task: NewTaskRow): string {
  let text = `{"id":"${task.id}","lane":${task.lane},"input":${task.input},"maxAttempts":${task.maxAttempts},"depth":${task.depth},"requestedBy":${JSON.stringify(task.requestedBy)}`;
  for (const name of ['title', 'notBefore', 'parentId', 'reopens', 'idempotencyKey', 'traceparent'] as const)
    if (task[name] !== null) text += `,"${name}":${JSON.stringify(task[name])}`;
  return `${text}}`;
}
