import type { Rework } from '@muster/contracts';
import type { Tx } from '#kernel';
import type { AttemptRow, TaskRow } from '../domain/task-row.ts';
import type { HotSql } from './claim.ts';

type Sql = Pick<Tx, 'sql'>;

/** Whether so many are directly below it. */
export async function hasChildren(db: Pick<Tx, 'sql'>, parentId: string, count: number): Promise<boolean> {
  const rows = await db.sql(`select 1 from tasks where parent_id = $1 order by id offset $2 limit 1`, [
    parentId,
    count - 1,
  ]);
  return rows.length > 0;
}

/** Whether a finished task is in the archive, or ended longer ago than so many milliseconds. @param ms null: it is in the archive */
export async function isLongEnded(db: Sql, taskId: string, ms: number | null): Promise<boolean> {
  const rows = await db.sql(
    `select 1 from tasks where id = $1 and coalesce(finished_at > muster_now() - $2::float8 * interval '1 millisecond', true)`,
    [taskId, ms],
  );
  return rows.length === 0;
}

export interface TaskKey {
  readonly teamId: string;
  readonly key: string;
}
export interface KeptBy {
  readonly id: string | null;
  readonly archived: string | null;
}

/** Which tasks these keys stand for, in their order. Most keys are new: whole tasks are looked at only where there is one. */
export const placesOfKeys = (db: HotSql, keys: readonly TaskKey[]): Promise<KeptBy[]> =>
  db.hot<KeptBy>(
    'tasks by their keys',
    `select (select id from tasks where team_id = g.team_id and idempotency_key = g.key) as id,
       (select task_id from task_archive_keys where team_id = g.team_id and idempotency_key = g.key) as archived
     from unnest($1::text[], $2::text[]) with ordinality as g(team_id, key, no) order by g.no`,
    [keys.map(({ teamId }) => teamId), keys.map(({ key }) => key)],
  );

/** The task that a key stands for. */
export const taskKept = async (db: Sql, { id, archived }: KeptBy): Promise<TaskRow | null> => {
  if (id !== null) return taskById(db, id);
  // What was kept of it may just have been dropped: then the key is free.
  return archived === null ? null : archivedTask(db, archived);
};

export async function taskById(db: Sql, taskId: string): Promise<TaskRow | null> {
  const [row] = await db.sql<TaskRow>(`select * from tasks_now where id = $1`, [taskId]);
  return row ?? archivedTask(db, taskId);
}

export async function archivedTask(db: Sql, taskId: string): Promise<TaskRow | null> {
  const [row] = await db.sql<TaskRow>(`select * from tasks_ended where id = $1`, [taskId]);
  return row ?? null;
}

/** A claim moved the task between two of the locks; the transaction is run again, as for a serialization failure. */
class TaskMoved extends Error {
  readonly code = '40001';
}

/**
 * The task, wherever it is, and nobody else moves it meanwhile. Everyone locks in this order: the open attempt, the place in
 * its lane, the task. Null when there is no such task.
 */
export async function lockTask(tx: Sql, taskId: string): Promise<TaskRow | null> {
  const [attempt] = await tx.sql<{ fence: number }>(`select fence from task_running where task_id = $1 for update`, [
    taskId,
  ]);
  const place = await tx.sql<{ seq: number }>(
    `select r.seq from tasks t join task_ready r on r.lane in (t.lane, -t.lane) and r.seq = t.ready_seq where t.id = $1 for update of r`,
    [taskId],
  );
  const found = await tx.sql(`select 1 from tasks where id = $1 for update`, [taskId]);
  // Nobody moves what has been archived.
  if (found.length === 0) return archivedTask(tx, taskId);
  const [task] = await tx.sql<TaskRow & { seq: number | null }>(
    `select n.*, (select r.seq from task_ready r where r.lane in (n.lane, -n.lane) and r.seq = n.ready_seq) as seq from tasks_now n where n.id = $1`,
    [taskId],
  );
  if (task === undefined) return null;
  if (task.fence !== (attempt?.fence ?? null) || task.seq !== (place[0]?.seq ?? null)) throw new TaskMoved();
  return task;
}

/** The closed ones, and the open one if there is one. */
export const attemptsOf = (db: Sql, taskId: string): Promise<AttemptRow[]> =>
  db.sql<AttemptRow>(
    `select id, number, fence, instance_id, agent, outcome, error, progress, checkpoint, cost_usd, started_at, ended_at
     from attempts_kept where task_id = $1 order by fence desc limit 200`,
    [taskId],
  );

/** False when this submission was settled as a rework before. */
export async function insertRework(tx: Sql, taskId: string, rework: Rework): Promise<boolean> {
  const rows = await tx.sql(
    `insert into task_reworks (task_id, round, submission_id, rework, created_at) values ($1, $2, $3, $4::jsonb, muster_now())
     on conflict (task_id, submission_id) do nothing returning round`,
    [taskId, rework.round, rework.submissionId, JSON.stringify(rework)],
  );
  return rows.length > 0;
}

export interface LogLineRow {
  readonly fence: number;
  readonly number: number;
  readonly stream: 'stdout' | 'stderr';
  readonly line: string;
  readonly logged_at: Date;
}

export const listLog = (
  db: Sql,
  q: { taskId: string; fence: number | null; afterFence: number; afterNumber: number; limit: number },
): Promise<LogLineRow[]> =>
  db.sql<LogLineRow>(
    `select fence, number, stream, line, logged_at from task_log_lines_kept
     where task_id = $1 and (fence, number) > ($2, $3) and ($5::bigint is null or fence = $5) order by fence, number limit $4`,
    [q.taskId, q.afterFence, q.afterNumber, q.limit, q.fence],
  );

/** Counted where open tasks are, so that what has ended is not passed by. */
export const openByCapability = (db: Sql, projectId: string): Promise<{ capability: string; count: number }[]> =>
  db.sql(
    `with lanes as materialized (select id, capability from task_lanes where project_id = $1),
     places as materialized (select id as lane, capability from lanes union all select -id, capability from lanes),
     open as (
       select p.capability, c.count from places p cross join lateral (
         select count(*) as count from task_ready r where r.lane = p.lane and r.expired_fence is null
       ) c
       union all
       select l.capability, count(*) from task_running r join lanes l on l.id = r.lane group by l.capability
       union all
       select t.capability, count(*) from task_due d join tasks t on t.id = d.task_id
       where d.kind = 'delay' and t.project_id = $1 and t.state = 'open' group by t.capability
       union all
       select t.capability, count(*) from tasks t
       where t.project_id = $1 and t.wait_reason is not null group by t.capability
     )
     select capability, sum(count)::int as count from open group by capability having sum(count) > 0 order by capability`,
    [projectId],
  );
