import type { Tx } from '#kernel';
import type { InstanceLimits, InstanceRow } from '../domain/task-row.ts';
import type { HotSql } from './claim.ts';

type Sql = Pick<Tx, 'sql'>;

/** Rows of one kind that one pass takes; the rest waits for the next pass. */
export const sweepLimit = 500;

interface About {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly lane: number;
  readonly ready_seq: number;
}

/** Retries whose pause is over become claimable. */
export const requeueDue = (tx: Sql): Promise<(About & { reworks: number })[]> =>
  tx.sql(
    `with due as materialized (
       select task_id from task_due where kind = 'retry' and at <= muster_now() order by at limit ${sweepLimit} for update skip locked
     ), gone as (
       delete from task_due d using due where d.task_id = due.task_id and d.kind = 'retry'
     ), moved as (
       update tasks t set state = 'open', wait_reason = null, wait_ref = null, wait_detail = null, next_action_at = null,
         ready_seq = nextval('task_ready_seq'), updated_at = muster_now()
       from due where t.id = due.task_id and t.state = 'waiting' and t.wait_reason = 'retry' and t.next_action_at <= muster_now()
       returning t.id, t.team_id, t.project_id, t.reworks, t.lane, t.ready_seq, t.attempt
     ), queued as (
       insert into task_ready (lane, seq, task_id, ready_at, attempts) select lane, ready_seq, id, muster_now(), attempt from moved
     )
     select id, team_id, project_id, reworks, lane, ready_seq from moved`,
  );

/** Tasks that were not to be handed out before now. */
export const queueDelayed = (tx: Sql): Promise<About[]> =>
  tx.sql(
    `with due as materialized (
       select task_id from task_due where kind = 'delay' and at <= muster_now() order by at limit ${sweepLimit} for update skip locked
     ), gone as (
       delete from task_due d using due where d.task_id = due.task_id and d.kind = 'delay'
     ), moved as (
       update tasks t set ready_seq = nextval('task_ready_seq') from due where t.id = due.task_id and t.state = 'open' and t.ready_seq is null
       returning t.id, t.team_id, t.project_id, t.lane, t.ready_seq, t.attempt
     ), queued as (
       insert into task_ready (lane, seq, task_id, ready_at, attempts) select lane, ready_seq, id, muster_now(), attempt from moved
     )
     select id, team_id, project_id, lane, ready_seq from moved`,
  );

/**
 * Leases that ran out since `after`: told once, and offered to others from now on while the late holder may still finish. Who
 * let it expire gets it back only when nobody else wanted it for one more lease. With no attempt left there is nothing to
 * offer; what becomes of it is decided when that further lease is over. One statement that commits by itself: a server that is
 * stopped in the middle of it holds no row that others would have to pass over.
 * @param q `now` as it was read a moment ago; `eventIds` as many as there may be rows
 */
export async function offerExpired(
  db: HotSql,
  q: { after: Date | null; now: Date; leaseSeconds: number; eventIds: readonly string[]; traceparent: string | null },
): Promise<number[]> {
  const [answer] = await db.hot<{ lanes: number[] | null; head: number | null; owed: boolean }>(
    'offer expired leases',
    `with late as materialized (
       select task_id, fence, lane, number, instance_id, lease_until, max_attempts from task_running
       where lease_until < $3::timestamptz and ($1::timestamptz is null or lease_until >= $1::timestamptz) and not expiry_told
       order by lease_until limit ${sweepLimit} for update skip locked
     ), judged as materialized (
       select l.*, t.team_id, t.project_id, row_number() over (order by l.lease_until, l.fence) as no,
         case when t.failures + 1 < least(t.max_attempts, l.max_attempts) then nextval('task_ready_seq') end as seq
       from late l join tasks t on t.id = l.task_id and t.id = any (array(select task_id from late))
     ), told as (
       update task_running r set expiry_told = true, ready_seq = j.seq from judged j
       where r.task_id = j.task_id and r.task_id = any (array(select task_id from late)) returning 1
     ), offered as (
       insert into task_ready (lane, seq, task_id, ready_at, attempts, avoid_instances, avoid_until, avoid_then_person, expired_fence)
       select -lane, seq, task_id, muster_now(), number, array[instance_id], lease_until + make_interval(secs => $2::float8), false, fence
       from judged where seq is not null returning 1
     ), due as (
       insert into task_due (task_id, kind, at) select task_id, 'exhausted', lease_until + make_interval(secs => $2::float8) from judged where seq is null
       on conflict (task_id, kind) do update set at = excluded.at returning 1
     )
     select t.lanes, t.written, a.head, a.owed
     from (
       -- counted so that they are written before the log's lock is taken
       select (select count(*) from told) + (select count(*) from offered) + (select count(*) from due) as written, array_agg(lane order by no) as lanes, array_agg(row(($4::text[])[no], 'task.lease_expired', team_id, project_id, task_id, 'normal',
         jsonb_build_object('taskId', task_id, 'attempt', number, 'fence', fence, 'instanceId', instance_id), $5)::event_draft order by no) as events
       from judged
     ) t, append_events_of(t.events, '{task.lease_expired}') a`,
    [q.after, q.leaseSeconds, q.now, q.eventIds, q.traceparent],
  );
  db.appended(answer?.head ?? null, answer?.owed);
  return answer?.lanes ?? [];
}

/** The earliest of those that somebody had locked meanwhile: the next look begins there. */
export async function passedOver(db: Sql, q: { after: Date | null; now: Date }): Promise<Date | null> {
  const [left] = await db.sql<{ passedOver: Date | null }>(
    `select min(lease_until) as "passedOver" from task_running
     where lease_until < $2::timestamptz and ($1::timestamptz is null or lease_until >= $1::timestamptz) and not expiry_told`,
    [q.after, q.now],
  );
  return left?.passedOver ?? null;
}

/**
 * The first lease that ran out since `after` and was not told, by one look: most of the time there is none, and nothing more to ask. And when the next one
 * runs out, where that is soon: no further ahead, since the index still has the entries of all attempts that ended lately.
 */
export async function firstExpired(
  db: Sql,
  after: Date | null,
  withinMs = 0,
): Promise<{ now: Date; first: Date | null; next: Date | null }> {
  const [row] = await db.sql<{ now: Date; first: Date | null; next: Date | null }>(
    `select c.now, (
       select min(r.lease_until) from task_running r
       where r.lease_until < c.now and ($1::timestamptz is null or r.lease_until >= $1::timestamptz) and not r.expiry_told) as first, (
       select min(r.lease_until) from task_running r
       where r.lease_until >= c.now and r.lease_until < c.now + make_interval(secs => $2::float8 / 1000) and not r.expiry_told) as next
     from (select muster_now() as now) c`,
    [after, withinMs],
  );
  if (row === undefined) throw new Error('The database told no time.');
  return row;
}

export interface Due {
  readonly tasks: boolean;
  readonly instances: boolean;
  /** The least time that a connected instance has for an attempt; null: none is connected. */
  readonly shortestSeconds: number | null;
}

/** Whether there is anything to do at all, by one look. */
export async function anythingDue(db: Sql, offlineAfterSeconds: number): Promise<Due> {
  const [row] = await db.sql<Due>(
    `select exists (select 1 from task_due where at <= muster_now()) as tasks,
       coalesce(bool_or(i.last_seen_at < muster_now() - make_interval(secs => $1)), false) as instances,
       min(case when jsonb_typeof(i.limits -> 'timeoutSeconds') = 'number' then (i.limits ->> 'timeoutSeconds')::float8 end) as "shortestSeconds"
     from instances i where i.state <> 'offline'`,
    [offlineAfterSeconds],
  );
  if (row === undefined) throw new Error('The database did not answer.');
  return row;
}

/** Which of these kinds something is due of, by one look without a transaction: mostly there is nothing. */
export async function dueOf<Kind extends string>(db: Sql, kinds: readonly Kind[]): Promise<ReadonlySet<Kind>> {
  const rows = await db.sql<{ kind: Kind }>(
    `select k as kind from unnest($1::text[]) k where exists (select from task_due where kind = k and at <= muster_now())`,
    [kinds],
  );
  return new Set(rows.map(({ kind }) => kind));
}

/** What is decided task by task. */
export type DueKind = 'unwanted' | 'exhausted' | 'deadline';

/** The next of a kind; null: there is none. */
export async function takeDue(tx: Sql, kind: DueKind): Promise<string | null> {
  const [due] = await tx.sql<{ task_id: string }>(
    `delete from task_due where (task_id, kind) in (
       select task_id, kind from task_due where kind = $1 and at <= muster_now() order by at limit 1 for update skip locked)
     returning task_id`,
    [kind],
  );
  return due?.task_id ?? null;
}

/** Whether the open attempt has been expired for a whole further lease. */
export async function isLongExpired(tx: Sql, taskId: string, leaseSeconds: number): Promise<boolean> {
  const rows = await tx.sql(
    `select 1 from task_running where task_id = $1 and lease_until < muster_now() - make_interval(secs => $2::float8)`,
    [taskId, leaseSeconds],
  );
  return rows.length > 0;
}

/** Whether it still waits for an instance that has not failed it. */
export async function isUnwanted(tx: Sql, taskId: string): Promise<boolean> {
  const rows = await tx.sql(
    `select 1 from tasks t join task_ready r on r.lane = -t.lane and r.seq = t.ready_seq
     where t.id = $1 and t.state = 'open' and r.avoid_then_person and r.avoid_until <= muster_now()`,
    [taskId],
  );
  return rows.length > 0;
}

/**
 * In how many milliseconds the first open attempt will have taken too long; null: not within so many. One whose lease has run out lately may be taken up again by
 * its holder, and is looked at again in two seconds. Reads all of them: no index is worth its cost to each task.
 */
export async function firstOverdueInMs(db: Sql, q: { withinMs: number; leaseSeconds: number }): Promise<number | null> {
  const [row] = await db.sql<{ inMs: number | null }>(
    `select extract(epoch from
         min(case when r.lease_until >= c.now then r.deadline_at else greatest(r.deadline_at, c.now + interval '2 seconds') end) - min(c.now)
       )::float8 * 1000 as "inMs"
     from (select muster_now() as now) c
     join task_running r on r.lease_until >= c.now - make_interval(secs => 2 * $2::float8) and r.deadline_at < c.now + make_interval(secs => $1::float8 / 1000)`,
    [q.withinMs, q.leaseSeconds],
  );
  return row?.inMs ?? null;
}

/** Attempts that take longer than their agent's definition allows, however alive they are. */
export const overdue = (db: Sql): Promise<{ task_id: string; fence: number; limits: InstanceLimits | null }[]> =>
  db.sql(
    `select r.task_id, r.fence, (select i.limits from instances i where i.id = r.instance_id) as limits from task_running r
     where r.deadline_at < muster_now() and r.lease_until >= muster_now() order by r.deadline_at limit ${sweepLimit}`,
  );

export const markSilentOffline = (tx: Sql, offlineAfterSeconds: number): Promise<InstanceRow[]> =>
  tx.sql<InstanceRow>(
    `update instances set state = 'offline'
     where id in (
       select id from instances where state <> 'offline' and last_seen_at < muster_now() - make_interval(secs => $1)
       order by last_seen_at limit ${sweepLimit} for update skip locked)
     returning *`,
    [offlineAfterSeconds],
  );
