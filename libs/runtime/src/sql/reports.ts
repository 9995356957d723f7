import type { Tx } from '#kernel';
import { storable } from '#platform/database';
import type { InstanceLimits } from '../domain/task-row.ts';
import type { Holder } from './leases.ts';

type Sql = Pick<Tx, 'sql'>;

// Each statement names its rows in an array as well as in its join: how few they are is what the planner does not guess from a join
// with what others move, and it would read whole tables.

/** An open attempt, as far as verbs need it. */
export interface HeldRow {
  readonly task_id: string;
  readonly fence: number;
  readonly number: number;
  readonly lease_until: Date;
  readonly team_id: string;
  readonly project_id: string;
  readonly capability: string;
  readonly instance_id: string;
  readonly holder_id: string;
  readonly limits: InstanceLimits | null;
}

/**
 * Renews the leases of those whose fence and holder are current, and locks them until the transaction ends; who is missing from
 * the answer has lost the attempt. The fence is the guard of every write: how late the lease is does not matter while nobody
 * else has claimed the task, and what was offered to others is taken back. In the order of their tasks, so that two batches
 * never wait for each other in a circle.
 */
export const renewAll = (tx: Sql, holders: readonly Holder[], leaseSeconds: number): Promise<HeldRow[]> =>
  tx.sql<HeldRow>(
    `with held as materialized (
       select r.task_id, r.lane, r.ready_seq
       from unnest($1::text[], $2::bigint[], $3::text[]) as g(task_id, fence, holder_id)
       join task_running r on r.task_id = g.task_id and r.fence = g.fence and r.holder_id = g.holder_id
       where r.task_id = any ($1::text[]) order by r.task_id for update of r
     ), unoffered as (
       delete from task_ready r using held h
       where r.lane = any (array(select -lane from held)) and r.seq = any (array(select ready_seq from held)) and r.lane = -h.lane and r.seq = h.ready_seq
     ), renewed as (
       update task_running r set lease_until = muster_now() + make_interval(secs => $4), expiry_told = false, ready_seq = null
       from held h where r.task_id = h.task_id and r.task_id = any ($1::text[]) returning r.*
     )
     select r.task_id, r.fence, r.number, r.lease_until, r.instance_id, r.holder_id, l.team_id, l.project_id, l.capability, i.limits
     from renewed r join task_lanes l on l.id = r.lane left join instances i on i.id = r.instance_id`,
    [
      holders.map(({ taskId }) => taskId),
      holders.map(({ fence }) => fence),
      holders.map(({ actorId }) => actorId),
      leaseSeconds,
    ],
  );

export interface ProgressReport {
  readonly taskId: string;
  /** Null: as it was. */
  readonly ratio: number | null;
  readonly message: string;
}

/** The last one of each task shows. */
export async function writeProgress(tx: Sql, reports: readonly ProgressReport[]): Promise<void> {
  const last = new Map<string, ProgressReport>();
  for (const report of reports)
    last.set(report.taskId, { ...report, ratio: report.ratio ?? last.get(report.taskId)?.ratio ?? null });
  const rows = [...last.values()];
  await tx.sql(
    `update task_running r set progress = coalesce(p.ratio, r.progress), progress_message = p.message
     from unnest($1::text[], $2::float8[], $3::text[]) as p(task_id, ratio, message)
     where r.task_id = p.task_id and r.task_id = any ($1::text[])`,
    [rows.map(({ taskId }) => taskId), rows.map(({ ratio }) => ratio), rows.map(({ message }) => message)],
  );
}

/** Kept with the open attempt; goes to the task when that ends. The last one of each task stays. @param reports `state` is JSON */
export async function writeCheckpoints(
  tx: Sql,
  reports: readonly { readonly taskId: string; readonly state: string }[],
): Promise<void> {
  const last = new Map(reports.map(({ taskId, state }) => [taskId, state]));
  await tx.sql(
    `update task_running r set checkpoint = c.state::jsonb
     from unnest($1::text[], $2::text[]) as c(task_id, state) where r.task_id = c.task_id and r.task_id = any ($1::text[])`,
    [[...last.keys()], [...last.values()]],
  );
}

export interface LogReport {
  readonly taskId: string;
  readonly stream: string;
  readonly lines: readonly string[];
}

/** Keeps at most `limit` lines of an attempt; says once where the rest was dropped. */
export async function writeLogs(tx: Sql, reports: readonly LogReport[], limit: number): Promise<void> {
  const rows = reports.flatMap(({ taskId, stream, lines }) => lines.map((line) => ({ taskId, stream, line })));
  await tx.sql(
    `with given as materialized (
       select g.task_id, g.stream, g.line, row_number() over (partition by g.task_id order by g.place) as place,
         count(*) over (partition by g.task_id) as lines
       from unnest($1::text[], $2::text[], $3::text[]) with ordinality as g(task_id, stream, line, place)
     ), before as (
       select r.task_id, r.fence, r.log_lines as lines from task_running r where r.task_id = any($1::text[])
     ), counted as (
       update task_running r set log_lines = least(r.log_lines + g.lines, $4 + 1) from given g
       where g.task_id = r.task_id and g.place = 1 and r.task_id = any ($1::text[])
     )
     insert into task_log_lines (task_id, fence, number, stream, line, logged_at)
     select b.task_id, b.fence, b.lines + g.place, g.stream,
       case when g.place <= $4 - b.lines then g.line else '… the rest of this log was dropped' end, muster_now()
     from before b join given g on g.task_id = b.task_id
     where g.place <= greatest(0, $4 - b.lines) + 1 and b.lines + g.place <= $4 + 1`,
    [rows.map(({ taskId }) => taskId), rows.map(({ stream }) => stream), rows.map(({ line }) => storable(line)), limit],
  );
}

export interface CostReport {
  readonly taskId: string;
  readonly fence: number;
  readonly key: string;
  readonly usd: number;
  readonly model: string | null;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
}

export interface WrittenCosts {
  /** Those that were counted; the others' keys had been counted before. */
  readonly counted: ReadonlySet<CostReport>;
  /** What each task with a counted report has spent of its own budget by now, in US dollars. */
  readonly spent: ReadonlyMap<string, number>;
}

/** Counted once for each key of a task, for the task and everything above it. */
export async function writeCosts(tx: Sql, reports: readonly CostReport[]): Promise<WrittenCosts> {
  const first = new Map<string, CostReport>();
  for (const report of reports) {
    const place = `${report.taskId} ${report.key}`;
    if (!first.has(place)) first.set(place, report);
  }
  const rows = [...first.values()];
  const added = await tx.sql<{ task_id: string; key: string }>(
    `insert into task_costs (task_id, key, fence, usd, model, input_tokens, output_tokens, reported_at)
     select c.*, muster_now()
     from unnest($1::text[], $2::text[], $3::bigint[], $4::numeric[], $5::text[], $6::bigint[], $7::bigint[]) as c
     on conflict (task_id, key) do nothing returning task_id, key`,
    [
      rows.map(({ taskId }) => taskId),
      rows.map(({ key }) => key),
      rows.map(({ fence }) => fence),
      rows.map(({ usd }) => usd),
      rows.map(({ model }) => model),
      rows.map(({ inputTokens }) => inputTokens),
      rows.map(({ outputTokens }) => outputTokens),
    ],
  );
  const counted = new Set(
    added.flatMap(({ task_id, key }) => {
      const report = first.get(`${task_id} ${key}`);
      return report === undefined ? [] : [report];
    }),
  );
  if (counted.size === 0) return { counted, spent: new Map() };
  // From each task up to its root, and all of them locked in one order, before the first is written.
  const totals = await tx.sql<{ id: string; spent: number }>(
    `with recursive given as materialized (
       select task_id, sum(usd::numeric(14, 6)) as usd from unnest($1::text[], $2::numeric[]) as g(task_id, usd) group by task_id
     ), up as (
       select task_id collate "C" as id, usd from given
       union all
       select t.parent_id, up.usd from up cross join lateral (select t.parent_id from tasks t where t.id = up.id and t.parent_id is not null offset 0) t
     ), added as (
       select id, sum(usd) as usd from up group by id
     ), locked as materialized (
       select id from tasks where id = any (array(select id from added)) order by id for update
     ), running as (
       update task_running r set cost_usd = r.cost_usd + g.usd from given g where r.task_id = g.task_id and r.task_id = any ($1::text[])
     )
     update tasks t set cost_usd = t.cost_usd + a.usd, own_cost_usd = t.own_cost_usd + coalesce(g.usd, 0)
     from added a left join given g on g.task_id = a.id
     where t.id = a.id and t.id = any (array(select id from locked))
     returning t.id, (t.own_cost_usd - t.forgiven_cost_usd)::float8 as spent`,
    [[...counted].map(({ taskId }) => taskId), [...counted].map(({ usd }) => usd)],
  );
  const own = new Set([...counted].map(({ taskId }) => taskId));
  return { counted, spent: new Map(totals.filter(({ id }) => own.has(id)).map(({ id, spent }) => [id, spent])) };
}
