import type { Tx } from '#kernel';

type Sql = Pick<Tx, 'sql'>;

export interface ChildRow {
  readonly id: string;
  readonly parent_id: string;
  readonly finished: boolean;
}

/** Children of these tasks along the index, so that a page costs the same however many come before it. */
export const childrenOf = (
  db: Sql,
  q: { parents: readonly string[]; after: { parentId: string; id: string } | null; limit: number },
): Promise<ChildRow[]> =>
  db.sql(
    `select id, parent_id, finished_at is not null as finished from tasks
     where parent_id = any ($1::text[]) and ($2::text is null or (parent_id, id) > ($2::text collate "C", $3::text collate "C"))
     order by parent_id, id limit $4`,
    [q.parents, q.after?.parentId ?? null, q.after?.id ?? null, q.limit],
  );

/** The moment passed between two locks: the transaction is run again, as for a serialization failure. */
class TaskMoved extends Error {
  readonly code = '40001';
}

export interface CancelledRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  /** Of the attempt that this ended. */
  readonly fence: number | null;
}

/** Cancels those of the tasks that have not ended, locking as everyone does: open attempts, places in lanes, tasks. */
export async function cancelMany(tx: Sql, taskIds: readonly string[], reason: string): Promise<CancelledRow[]> {
  const ids = [...taskIds].sort();
  const open = await tx.sql<{ task_id: string; fence: number }>(
    `select task_id, fence from task_running where task_id = any ($1::text[]) order by task_id for update`,
    [ids],
  );
  await tx.sql(
    `select 1 from tasks t join task_ready r on r.lane in (t.lane, -t.lane) and r.seq = t.ready_seq where t.id = any ($1::text[]) order by t.id for update of r`,
    [ids],
  );
  await tx.sql(`select 1 from tasks where id = any ($1::text[]) order by id for update`, [ids]);
  const now = await tx.sql<{ task_id: string; fence: number }>(
    `select task_id, fence from task_running where task_id = any ($1::text[])`,
    [ids],
  );
  const fences = new Map(open.map((one) => [one.task_id, Number(one.fence)]));
  if (now.some((one) => fences.get(one.task_id) !== Number(one.fence))) throw new TaskMoved();
  await tx.sql(
    `with gone as (
       delete from task_running where task_id = any ($1::text[]) returning *
     ), kept as (
       insert into attempts (id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, error, progress, progress_message,
         checkpoint, cost_usd, log_lines, started_at, ended_at)
       select attempt_id, task_id, number, fence, instance_id, holder_id, agent, agent_version, 'cancelled', $2, progress, progress_message,
         checkpoint, cost_usd, log_lines, started_at, muster_now() from gone
     )
     update tasks t set attempt = g.number, max_attempts = least(t.max_attempts, g.max_attempts), instance_id = g.instance_id, agent = g.agent,
       checkpoint = coalesce(g.checkpoint, t.checkpoint)
     from gone g where t.id = g.task_id`,
    [ids, reason],
  );
  await tx.sql(
    `delete from task_ready r using tasks t where t.id = any ($1::text[]) and r.lane in (t.lane, -t.lane) and r.seq = t.ready_seq`,
    [ids],
  );
  const rows = await tx.sql<Omit<CancelledRow, 'fence'>>(
    `update tasks set state = 'cancelled', ended_as = 'cancelled', error = $2, wait_reason = null, wait_ref = null, wait_detail = null, next_action_at = null,
       updated_at = muster_now(), finished_at = muster_now()
     where id = any ($1::text[]) and finished_at is null returning id, team_id, project_id`,
    [ids, reason],
  );
  return rows.map((row) => ({ ...row, fence: fences.get(row.id) ?? null }));
}

/** Whoever cancels a tree writes down that it is not done before it is, so that somebody else can go on. */
export const rememberTree = (tx: Sql, taskId: string, seconds: number) =>
  tx.sql(
    `insert into task_due (task_id, kind, at) values ($1, 'tree', muster_now() + make_interval(secs => $2))
     on conflict (task_id, kind) do update set at = excluded.at`,
    [taskId, seconds],
  );

export const forgetTree = (tx: Sql, taskId: string) =>
  tx.sql(`delete from task_due where task_id = $1 and kind = 'tree'`, [taskId]);

/** A tree whose cancelling was not brought to its end; nobody else takes it for `seconds`. */
export async function takeTree(tx: Sql, seconds: number): Promise<{ id: string; error: string | null } | null> {
  const [row] = await tx.sql<{ id: string; error: string | null }>(
    `with due as materialized (
       select task_id from task_due where kind = 'tree' and at <= muster_now() order by at limit 1 for update skip locked
     ), later as (
       update task_due d set at = muster_now() + make_interval(secs => $1) from due where d.task_id = due.task_id and d.kind = 'tree'
     )
     select t.id, t.error from due join tasks t on t.id = due.task_id`,
    [seconds],
  );
  return row ?? null;
}
