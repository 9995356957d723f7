import type { HotSql } from './claim.ts';
import { busyOf, countOfGone, goneFromTheQueue, looksLikeOne } from './gone.ts';
import type { Holder } from './leases.ts';

export interface Return extends Holder {
  readonly outcome: 'failed' | 'released';
  /** What was wrong, or why it is given back. */
  readonly error: string;
  /** When it is tried again by itself; null: it is claimable at once. */
  readonly afterSeconds: number | null;
  readonly eventId: string;
  /** Of the event that says that it waits; of who is claimable at once there is none. */
  readonly waitingEventId: string | null;
  readonly traceparent: string | null;
}

const moment = (at: string): string => `to_char(${at} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/**
 * Many attempts that end without their task's end, one statement: what is given back is claimable at once, behind what is in its lane and not by who
 * gave it back; what failed is due later. Rows that move are met as in the statement that completes.
 */
const returnText = `
  with clock as materialized (select muster_now() as now),
  given as materialized (
    select i.* from jsonb_to_recordset($1::jsonb) as i("taskId" text, fence bigint, "actorId" text, outcome text, error text, "afterSeconds" float8,
      "eventId" text, "waitingEventId" text, traceparent text)
  ),
  gone as materialized (
    select r.*, i.outcome, i.error, i."eventId", i."waitingEventId", i.traceparent, c.now + make_interval(secs => i."afterSeconds") as due_at
    from (select * from given order by "taskId") i cross join clock c cross join lateral (
      select r.* from task_running r where r.task_id = i."taskId" and r.fence = i.fence and r.holder_id = i."actorId" for update skip locked
    ) r
    where ${looksLikeOne('i.fence')}
  ),
  ${goneFromTheQueue},
  kept as (
    insert into attempts (id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, error, answer, progress, progress_message,
      checkpoint, cost_usd, log_lines, started_at, ended_at)
    select attempt_id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, error,
      jsonb_build_object('taskId', task_id, 'fence', fence, 'state', case when due_at is null then 'queued' else 'waiting' end,
        'retryAt', ${moment('due_at')}),
      progress, progress_message, checkpoint, cost_usd, log_lines, started_at, c.now
    from gone, clock c
    returning fence
  ),
  moved as (
    update tasks t set state = case when g.due_at is null then 'open' else 'waiting' end,
      ready_seq = case when g.due_at is null then nextval('task_ready_seq') else t.ready_seq end,
      wait_reason = case when g.due_at is not null then 'retry' end, wait_ref = null,
      wait_detail = case when g.due_at is not null then left(g.error, 500) end, next_action_at = g.due_at,
      failures = t.failures + (g.outcome = 'failed')::int, error = case when g.outcome = 'failed' then g.error else t.error end, updated_at = c.now,
      attempt = g.number, max_attempts = least(t.max_attempts, g.max_attempts), instance_id = g.instance_id, agent = g.agent,
      checkpoint = coalesce(g.checkpoint, t.checkpoint)
    from gone g, clock c where t.id = g.task_id
    returning t.id, t.lane, t.ready_seq, t.team_id, t.project_id, g.number, g.fence, g.instance_id, g.outcome, g.error, g.due_at, g."eventId",
      g."waitingEventId", g.traceparent
  ),
  queued as (
    insert into task_ready (lane, seq, task_id, ready_at, attempts, avoid_instances, avoid_until, avoid_then_person)
    select -m.lane, m.ready_seq, m.id, c.now, m.number, array[m.instance_id], c.now + make_interval(secs => $2), false
    from moved m, clock c where m.due_at is null
    returning seq
  ),
  due as (
    insert into task_due (task_id, kind, at) select id, 'retry', due_at from moved where due_at is not null
    on conflict (task_id, kind) do update set at = excluded.at
    returning at
  )
  select t.returned, t.lanes, t.written, t.busy, a.head, a.owed
  from (
    -- counted so that they are written before the log's lock is taken
    select (select count(*) from kept) + (select count(*) from queued) + (select count(*) from due) + ${countOfGone} as written, ${busyOf} as busy,
      json_agg(json_build_object('eventId', "eventId", 'retryAt', ${moment('due_at')})) as returned,
      array_agg(distinct -lane) filter (where due_at is null) as lanes,
      coalesce(array_agg(row("eventId", case outcome when 'failed' then 'task.attempt_failed' else 'task.released' end, team_id, project_id, id, 'normal',
        jsonb_build_object('taskId', id, 'attempt', number, 'fence', fence) || case outcome
          when 'failed' then jsonb_build_object('error', error, 'retryAt', ${moment('due_at')}) else jsonb_build_object('reason', error) end,
        traceparent)::event_draft), '{}')
      || coalesce(array_agg(row("waitingEventId", 'task.waiting', team_id, project_id, id, 'normal',
        jsonb_build_object('taskId', id, 'reason', 'retry', 'ref', null), traceparent)::event_draft) filter (where due_at is not null), '{}') as events
    from moved
  ) t, append_events_of(t.events, '{task.attempt_failed,task.released,task.waiting}') a`;

interface ReturnAnswer {
  readonly returned: readonly { readonly eventId: string; readonly retryAt: string | null }[] | null;
  readonly lanes: readonly number[] | null;
  readonly busy: string | null;
  readonly head: number | null;
  readonly owed: boolean;
}

export interface Returned {
  /** By event: when it is tried again. Who is not among them did not hold the attempt. */
  readonly retryAt: ReadonlyMap<string, string | null>;
  /** By event: somebody else has locked their attempt, and nothing was done about them. */
  readonly busy: ReadonlySet<string>;
  /** Where something can be claimed now. */
  readonly lanes: readonly number[];
}

export async function returnTasks(db: HotSql, returns: readonly Return[], pauseSeconds: number): Promise<Returned> {
  const [row] = await db.hot<ReturnAnswer>('return tasks', returnText, [JSON.stringify(returns), pauseSeconds]);
  db.appended(row?.head ?? null, row?.owed);
  return {
    retryAt: new Map(row?.returned?.map(({ eventId, retryAt }) => [eventId, retryAt])),
    busy: new Set(row?.busy?.split(',')),
    lanes: row?.lanes ?? [],
  };
}

export interface Failing {
  readonly failures: number;
  readonly maxAttempts: number;
  readonly capability: string;
  /** Of the agent's own definition. */
  readonly delaysSeconds: readonly number[] | null;
}

/** What decides over a failure, for open attempts in their order; null: it is not open, or not the holder's. */
export const failingOf = async (db: HotSql, held: readonly Holder[]): Promise<(Failing | null)[]> => {
  const rows = await db.hot<Failing & { readonly open: boolean }>(
    'what fails',
    `select t.id is not null as open, t.failures, least(t.max_attempts, r.max_attempts) as "maxAttempts", t.capability,
       i.limits -> 'retryDelaysSeconds' as "delaysSeconds"
     from unnest($1::text[], $2::bigint[], $3::text[]) with ordinality as h(task_id, fence, actor_id, no)
     left join task_running r on r.task_id = h.task_id and r.fence = h.fence and r.holder_id = h.actor_id
     left join tasks t on t.id = r.task_id left join instances i on i.id = r.instance_id
     order by h.no`,
    [held.map(({ taskId }) => taskId), held.map(({ fence }) => fence), held.map(({ actorId }) => actorId)],
  );
  return rows.map((row) => (row.open ? row : null));
};
