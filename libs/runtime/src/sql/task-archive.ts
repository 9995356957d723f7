import type { Tx } from '#kernel';
import { taskIdAt, timeOfTaskId } from '../domain/task-ids.ts';

type Sql = Pick<Tx, 'sql'>;

/** One server archives at a time. */
const archiveLock = 7265011;
const tables = ['task_archive', 'attempt_archive', 'task_cost_archive', 'task_log_archive', 'task_rework_archive'];

export async function isFirstToArchive(tx: Sql): Promise<boolean> {
  const [row] = await tx.sql<{ got: boolean }>(`select pg_try_advisory_xact_lock($1) as got`, [archiveLock]);
  return row?.got ?? false;
}

export interface Month {
  readonly month: string;
  readonly first: string;
  readonly last: string;
}
/** In which a task was created, by its id; null for an id that no server made. */
export function monthOf(taskId: string): Month | null {
  const ms = timeOfTaskId(taskId);
  if (ms === null) return null;
  const at = new Date(ms);
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()];
  return {
    month: `${year}_${String(month + 1).padStart(2, '0')}`,
    first: taskIdAt(Date.UTC(year, month)),
    last: taskIdAt(Date.UTC(year, month + 1)),
  };
}

/** Ids are made by the clocks of servers, and ends are told by the database's. */
const clocksDifferMs = 3_600_000;
/** What was created since cannot have ended so long ago. */
export async function newestToArchive(db: Sql, keptMs: number): Promise<string> {
  const [row] = await db.sql<{ now: number }>(`select (extract(epoch from muster_now()) * 1000)::float8 as now`);
  return taskIdAt((row?.now ?? 0) - keptMs + clocksDifferMs);
}

/** Ids in the order of creation that ended long enough ago; `last` is where the next look begins, null when this one came to the end. */
export async function endedBefore(
  db: Sql,
  q: { after: string; before: string; keptMs: number; look: number },
): Promise<{ ids: string[]; last: string | null }> {
  const rows = await db.sql<{ id: string; ended: boolean }>(
    `select id, coalesce(finished_at < muster_now() - $2 * interval '1 millisecond', false) as ended from tasks
     where id > $1 collate "C" and id < $4 collate "C" order by id limit $3`,
    [q.after, q.keptMs, q.look, q.before],
  );
  return {
    ids: rows.filter(({ ended }) => ended).map(({ id }) => id),
    last: rows.length < q.look ? null : (rows.at(-1)?.id ?? null),
  };
}

export async function addMonths(tx: Sql, months: readonly Month[]): Promise<void> {
  for (const { month, first, last } of months)
    await tx.sql(
      `select add_task_archive_partition($1, $2, $3, '-infinity')
       where not exists (select from task_archive_partitions where month = $1)`,
      [month, first, last],
    );
}

/**
 * Moves those of the tasks on which nothing hangs any more: no task below, no task that waits, nothing due. So what is above a
 * task that is worked on is always where work goes through, and trees leave from their leaves.
 */
export async function archive(tx: Sql, q: { ids: readonly string[]; keptMs: number }): Promise<number> {
  const [row] = await tx.sql<{ moved: number }>(
    `with picked as materialized (
       select t.id from tasks t
       where t.id = any ($1::text[]) and t.finished_at < muster_now() - $2 * interval '1 millisecond'
         and not exists (select from tasks c where c.parent_id = t.id)
         and not exists (select from task_dependencies d where d.needs_id = t.id and not d.met)
         and not exists (select from task_due u where u.task_id = t.id and u.kind in ('tree', 'dependants'))
       order by t.id for update skip locked
     ),
     gone as (delete from tasks t using picked p where t.id = p.id returning t.*),
     gone_attempts as (delete from attempts a using picked p where a.task_id = p.id returning a.*),
     gone_costs as (delete from task_costs c using picked p where c.task_id = p.id returning c.*),
     gone_lines as (delete from task_log_lines l using picked p where l.task_id = p.id returning l.*),
     gone_reworks as (delete from task_reworks r using picked p where r.task_id = p.id returning r.*),
     gone_due as (delete from task_due u using picked p where u.task_id = p.id),
     kept as (insert into task_archive select * from gone),
     kept_attempts as (insert into attempt_archive select * from gone_attempts),
     kept_costs as (insert into task_cost_archive select * from gone_costs),
     kept_lines as (insert into task_log_archive select * from gone_lines),
     kept_reworks as (insert into task_rework_archive select * from gone_reworks),
     kept_keys as (
       insert into task_archive_keys (team_id, idempotency_key, task_id) select team_id, idempotency_key, id from gone where idempotency_key is not null
       -- The key of a task that is gone, which nobody has forgotten yet.
       on conflict (team_id, idempotency_key) do update set task_id = excluded.task_id
     ),
     newest as (
       update task_archive_partitions m set newest_end = greatest(m.newest_end, n.at)
       from (
         select m.month, max(g.finished_at) as at from gone g join task_archive_partitions m on g.id >= m.first and g.id < m.last group by m.month
       ) n
       where m.month = n.month
     )
     select count(*)::int as moved from gone`,
    [q.ids, q.keptMs],
  );
  return row?.moved ?? 0;
}

/** Months of which nothing is to be kept any more, the oldest first. No task of theirs can still come: all were created before. */
export const monthsToDrop = (db: Sql, keptMs: number): Promise<Month[]> =>
  db.sql(
    `select m.month, m.first, m.last from task_archive_partitions m
     where m.newest_end < muster_now() - $1 * interval '1 millisecond'
       and not exists (select from tasks t where t.id >= m.first and t.id < m.last)
     order by m.first`,
    [keptMs],
  );

/** Detached without a lock that readers or writers would wait for, then dropped; begun again where a server ended in between. */
export async function dropMonth(db: Sql, { month }: Month): Promise<void> {
  for (const parent of tables) {
    const name = `${parent}_${month}`;
    const [state] = await db.sql<{ pending: boolean | null }>(
      `select i.inhdetachpending as pending from pg_class c left join pg_inherits i on i.inhrelid = c.oid
       where c.oid = to_regclass($1)`,
      [`"${name}"`],
    );
    if (state === undefined) continue;
    if (state.pending !== null)
      await db.sql(`alter table ${parent} detach partition "${name}" ${state.pending ? 'finalize' : 'concurrently'}`);
    await db.sql(`drop table "${name}"`);
  }
}

/** What else is known of tasks of a month that is gone; so many rows of each at a time. @returns whether there may be more */
export async function forgetTasksOf(tx: Sql, { first, last }: Month, limit: number): Promise<boolean> {
  let most = 0;
  for (const [table, column] of [
    ['task_archive_keys', 'task_id'],
    ['task_terms', 'task_id'],
    ['task_dependencies', 'task_id'],
    ['task_blob_uses', 'task_id'],
  ] as const) {
    const gone = await tx.sql(
      `delete from ${table} where ctid = any (array(
         select ctid from ${table} where ${column} >= $1 collate "C" and ${column} < $2 collate "C" limit $3)) returning 1`,
      [first, last, limit],
    );
    most = Math.max(most, gone.length);
  }
  return most >= limit;
}

export const forgetMonth = (tx: Sql, { month }: Month) =>
  tx.sql(`delete from task_archive_partitions where month = $1`, [month]);
