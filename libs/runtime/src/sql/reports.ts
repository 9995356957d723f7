import { maxLogLines } from '../domain/lease-rules.ts';
import type { HotSql } from './claim.ts';
import { looksLikeOne } from './gone.ts';
import type { Holder } from './leases.ts';

/** What an agent says of an attempt that it holds; one of the four kinds, the others' fields are left out. */
export interface ReportRow extends Holder {
  readonly progress?: {
    /** Null: as it was. */
    readonly ratio: number | null;
    readonly message: string;
    readonly eventId: string;
    readonly traceparent: string | null;
  };
  readonly log?: { readonly stream: string; readonly lines: readonly string[] };
  /** JSON. */
  readonly checkpoint?: string;
  readonly cost?: CostReport;
}

export interface CostReport {
  readonly key: string;
  readonly usd: number;
  readonly model: string | null;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
}

export interface WrittenReports {
  /** Until when the attempt is leased by now, by `placeOf`. Who is missing has lost it, and nothing of theirs was written. */
  readonly leaseUntil: ReadonlyMap<string, Date>;
  /** Indexes of the costs that were counted; the others' keys had been counted before. */
  readonly counted: ReadonlySet<number>;
  /** Attempts with a cost among these, also one that had been counted before, whose task has spent more of its own than its agent may. */
  readonly overspent: readonly Overspent[];
}
export interface Overspent {
  readonly taskId: string;
  readonly fence: number;
  /** US dollars, as `spent`. */
  readonly budget: number;
  readonly spent: number;
}

export const placeOf = ({ taskId, fence, actorId }: Holder): string => `${taskId} ${fence} ${actorId}`;

/**
 * Everything that agents said while the last statement committed, in one: leases of those whose fence and holder are current are renewed
 * with it, and each attempt's row gets one new version, whatever was said about it. The fence is the guard of every write: how late the
 * lease is does not matter while nobody else has claimed the task, and what was offered to others is taken back. Locked in the order of
 * their tasks, so that two batches never wait for each other in a circle. Of several words of the same kind the last one stays. Of a log
 * `$3` lines are kept, and it is said once where the rest was dropped. Costs are counted once for each key of a task, for the task and
 * everything above it, all of which are locked in one order before the first is written.
 */
const reportText = `
  with recursive given as materialized (
    select i.* from jsonb_to_recordset($1::jsonb) as i(no int, "taskId" text, fence bigint, "actorId" text, ratio float8, message text, "eventId" text,
      traceparent text, stream text, lines text[], state text, key text, usd numeric(14, 6), model text, "inputTokens" bigint, "outputTokens" bigint)
  ),
  held as materialized (
    select r.*, g.nos
    from (select "taskId", fence, "actorId", array_agg(no) as nos from given group by 1, 2, 3 order by 1) g cross join lateral (
      select r.task_id, r.lane, r.ready_seq, r.log_lines, r.instance_id from task_running r
      where r.task_id = g."taskId" and r.fence = g.fence and r.holder_id = g."actorId" for update
    ) r
  ),
  unoffered as (
    delete from task_ready q
    where q.lane = any (array(select -lane from held where ready_seq is not null))
      and q.seq = any (array(select ready_seq from held where ready_seq is not null))
    returning 1
  ),
  said as materialized (
    select g.*, h.task_id, h.lane, h.log_lines, h.instance_id from held h cross join lateral unnest(h.nos) as n (no) join given g on g.no = n.no
  ),
  lines as (
    select s.task_id, s.fence, s.stream, l.line, s.log_lines as before, row_number() over (partition by s.task_id order by s.no, l.no) as place
    from said s cross join lateral unnest(s.lines) with ordinality as l(line, no)
  ),
  logged as (
    insert into task_log_lines (task_id, fence, number, stream, line, logged_at)
    select task_id, fence, before + place, stream, case when place <= $3 - before then line else '… the rest of this log was dropped' end, muster_now()
    from lines where place <= greatest(0, $3 - before) + 1 and before + place <= $3 + 1
    returning 1
  ),
  costs as materialized (
    select distinct on (task_id, key) no, task_id, fence, instance_id, key, usd, model, "inputTokens", "outputTokens" from said
    where key is not null order by task_id, key, no
  ),
  counted as (
    insert into task_costs (task_id, key, fence, usd, model, input_tokens, output_tokens, reported_at)
    select task_id, key, fence, usd, model, "inputTokens", "outputTokens", muster_now() from costs
    on conflict (task_id, key) do nothing returning task_id, key, usd
  ),
  charges as materialized (
    select c.no, c.task_id, k.usd from costs c join counted k on k.task_id = c.task_id and k.key = c.key
  ),
  up as (
    select task_id collate "C" as id, sum(usd) as usd, sum(usd) as own from charges group by task_id
    union all
    select t.parent_id, up.usd, 0 from up cross join lateral (select t.parent_id from tasks t where t.id = up.id and t.parent_id is not null offset 0) t
  ),
  added as (select id, sum(usd) as usd, sum(own) as own from up group by id),
  locked as materialized (
    select id from tasks where id = any (array(select id from added)) order by id for update
  ),
  charged as (
    update tasks t set cost_usd = t.cost_usd + a.usd, own_cost_usd = t.own_cost_usd + a.own
    from added a where t.id = a.id and t.id = any (array(select id from locked))
    returning t.id, t.own_cost_usd - t.forgiven_cost_usd as spent
  ),
  last as (
    select s.task_id, (array_agg(s.ratio order by s.no desc) filter (where s.ratio is not null))[1] as ratio,
      (array_agg(s.message order by s.no desc) filter (where s.message is not null))[1] as message,
      (array_agg(s.state order by s.no desc) filter (where s.state is not null))[1]::jsonb as state,
      sum(cardinality(s.lines)) as lines, sum(c.usd) as usd
    from said s left join charges c on c.no = s.no group by s.task_id having ${looksLikeOne('max(s.fence)')}
  ),
  renewed as (
    update task_running r set lease_until = muster_now() + make_interval(secs => $2), expiry_told = false, ready_seq = null,
      progress = coalesce(l.ratio, r.progress), progress_message = coalesce(l.message, r.progress_message), checkpoint = coalesce(l.state, r.checkpoint),
      log_lines = least(r.log_lines + coalesce(l.lines, 0), $3 + 1), cost_usd = r.cost_usd + coalesce(l.usd, 0)
    from last l where r.task_id = l.task_id
    returning r.task_id, r.fence, r.holder_id, r.lease_until
  ),
  limited as (
    select distinct c.task_id, c.fence, b.budget from costs c cross join lateral (
      select (i.limits ->> 'costUsd')::float8 as budget from instances i where i.id = c.instance_id offset 0
    ) b where b.budget is not null
  ),
  overspent as (
    select l.task_id, l.fence, l.budget, s.spent
    from limited l left join charged c on c.id = l.task_id cross join lateral (
      select coalesce(c.spent, (select t.own_cost_usd - t.forgiven_cost_usd from tasks t where t.id = l.task_id))::float8 as spent offset 0
    ) s where s.spent > l.budget
  ),
  told as (
    select s.no, row(s."eventId", 'task.progress', l.team_id, l.project_id, s.task_id, 'low',
      jsonb_build_object('taskId', s.task_id, 'fence', s.fence, 'ratio', s.ratio, 'message', s.message), s.traceparent)::event_draft as event
    from said s cross join lateral (select l.* from task_lanes l where l.id = s.lane offset 0) l where s.message is not null
  )
  select t.held, t.counted, t.overspent, t.written, a.head, a.owed
  from (
    -- counted so that they are written before the log's lock is taken; "offset 0" keeps this from being worked out behind it
    select (select count(*) from unoffered) + (select count(*) from logged) + (select count(*) from charged) as written,
      (select string_agg(concat_ws(' ', task_id, fence, holder_id, (extract(epoch from lease_until) * 1000)::bigint), ',') from renewed) as held,
      (select string_agg(no::text, ',') from charges) as counted,
      (select jsonb_agg(jsonb_build_object('taskId', task_id, 'fence', fence, 'budget', budget, 'spent', spent)) from overspent) as overspent,
      (select array_agg(event order by no) from told) as events
    offset 0
  ) t, append_events_of(t.events, '{task.progress}') a`;

interface ReportAnswer {
  /** Task, fence, holder and the end of the lease in milliseconds, with spaces between them. */
  readonly held: string | null;
  readonly counted: string | null;
  readonly overspent: Overspent[] | null;
  readonly head: number | null;
  readonly owed: boolean;
}

export async function report(db: HotSql, rows: readonly ReportRow[], leaseSeconds: number): Promise<WrittenReports> {
  const given = rows.map(({ taskId, fence, actorId, progress, log, checkpoint, cost }, no) => ({
    no,
    taskId,
    fence,
    actorId,
    ...progress,
    ...log,
    ...cost,
    state: checkpoint,
  }));
  const [answer] = await db.hot<ReportAnswer>('report', reportText, [JSON.stringify(given), leaseSeconds, maxLogLines]);
  db.appended(answer?.head ?? null, answer?.owed);
  return {
    leaseUntil: new Map(
      wordsOf(answer?.held).map((words) => {
        const at = words.lastIndexOf(' ');
        return [words.slice(0, at), new Date(Number(words.slice(at + 1)))];
      }),
    ),
    counted: new Set(wordsOf(answer?.counted).map(Number)),
    overspent: answer?.overspent ?? [],
  };
}

const wordsOf = (words: string | null | undefined): string[] => words?.split(',') ?? [];
