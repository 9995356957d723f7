import type { HotSql } from './claim.ts';
import { busyOf, countOfGone, goneFromTheQueue, looksLikeOne } from './gone.ts';

export interface Completion {
  readonly actorId: string;
  readonly taskId: string;
  readonly fence: number;
  readonly eventId: string;
  /** The event's data as JSON; the task's output is what stands in it as `output`. */
  readonly data: string;
  readonly traceparent: string | null;
}

/**
 * Many completions, one statement: the open attempt goes to the closed ones, the task gets its state and its output, and the
 * event is written; for those whose fence and holder are current. The attempt's row is locked first, as by every other verb,
 * and not waited for: what somebody else has locked is left to a later batch. So a claim of an expired lease and a completion never both succeed. Rows that move are met one by one through their index or by a
 * list of their keys, never by a join: what the planner believes of a table that was empty a minute ago decides how it joins, and the
 * wrong way round compares everything that runs with everything that ends.
 */
const completeText = `
  with clock as materialized (select muster_now() as now),
  given as materialized (
    select i.* from jsonb_to_recordset($1::jsonb) as i("taskId" text, fence bigint, "actorId" text, "eventId" text, data jsonb, traceparent text)
  ),
  gone as materialized (
    select r.*, i.data, i."eventId", i.traceparent
    from (select * from given order by "taskId") i cross join lateral (
      select r.* from task_running r where r.task_id = i."taskId" and r.fence = i.fence and r.holder_id = i."actorId" for update skip locked
    ) r
    where ${looksLikeOne('i.fence')}
  ),
  ${goneFromTheQueue},
  kept as (
    insert into attempts (id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, progress, progress_message, checkpoint,
      cost_usd, log_lines, started_at, ended_at)
    select attempt_id, task_id, number, fence, instance_id, holder_id, agent, agent_version, 'completed', progress, progress_message, checkpoint,
      cost_usd, log_lines, started_at, c.now from gone, clock c
    returning fence
  ),
  done as (
    update tasks t set state = 'succeeded', output = g.data -> 'output', error = null, attempt = g.number, instance_id = g.instance_id, agent = g.agent,
      checkpoint = coalesce(g.checkpoint, t.checkpoint), updated_at = c.now, finished_at = c.now
    from gone g, clock c where t.id = g.task_id
    returning g."eventId", t.has_dependants, row(g."eventId", 'task.succeeded', t.team_id, t.project_id, t.id, 'normal', g.data, g.traceparent)::event_draft as event
  )
  select t.accepted, t.freed, t.written, t.busy, a.head, a.owed
  from (
    -- counted so that they are written before the log's lock is taken
    select (select count(*) from kept) + ${countOfGone} as written, ${busyOf} as busy, string_agg("eventId", ',') as accepted, bool_or(has_dependants) as freed, array_agg(event) as events
    from done
  ) t, append_events_of(t.events, '{task.succeeded}') a`;

interface CompleteAnswer {
  readonly accepted: string | null;
  readonly busy: string | null;
  readonly freed: boolean | null;
  readonly head: number | null;
  readonly owed: boolean;
}

export interface Completed {
  /** The event ids of those that were accepted: fences alone would not tell a holder's from somebody else's of the same batch. */
  readonly accepted: ReadonlySet<string>;
  /** The event ids of those whose attempt somebody else has locked: nothing was done about them. */
  readonly busy: ReadonlySet<string>;
  /** Others were waiting for some of them, and may be claimable now. */
  readonly freed: boolean;
}

export async function complete(db: HotSql, completions: readonly Completion[]): Promise<Completed> {
  // Ids need no escape; the data is JSON as it is.
  const rows = completions.map(
    ({ taskId, fence, actorId, eventId, data, traceparent }) =>
      `{"taskId":"${taskId}","fence":${fence},"actorId":"${actorId}","eventId":"${eventId}","data":${data}${traceparent === null ? '' : `,"traceparent":"${traceparent}"`}}`,
  );
  const [row] = await db.hot<CompleteAnswer>('complete tasks', completeText, [`[${rows.join(',')}]`]);
  db.appended(row?.head ?? null, row?.owed);
  return {
    accepted: new Set(row?.accepted?.split(',')),
    busy: new Set(row?.busy?.split(',')),
    freed: row?.freed === true,
  };
}
