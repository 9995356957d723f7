import type { Rework } from '@muster/contracts';
import type { Tx } from '#kernel';
import type { AttemptRow, TaskRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

/** Whether so many are directly below it. */
export async function hasChildren(db: Pick<Tx, 'sql'>, parentId: string, count: number): Promise<boolean> {
  const rows = await db.sql(`select 1 from tasks where parent_id = $1 order by id offset $2 limit 1`, [
    parentId,
    count - 1,
  ]);
  return rows.length > 0;
}

export async function taskByKey(db: Sql, teamId: string, key: string): Promise<TaskRow | null> {
  const [row] = await db.sql<TaskRow>(
    `select * from tasks_now where id = (select id from tasks where team_id = $1 and idempotency_key = $2)`,
    [teamId, key],
  );
  return row ?? null;
}

export async function taskById(db: Sql, taskId: string): Promise<TaskRow | null> {
  const [row] = await db.sql<TaskRow>(`select * from tasks_now where id = $1`, [taskId]);
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
  if (found.length === 0) return null;
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
     from attempts_now where task_id = $1 order by fence desc limit 200`,
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

export interface TaskFilter {
  readonly teamId: string;
  /** Null: every project of the team. */
  readonly projectIds: readonly string[] | null;
  readonly states: readonly string[] | null;
  readonly capability: string | null;
  readonly parentId: string | null;
  readonly agent: string | null;
  readonly priorities: readonly number[] | null;
  readonly createdAfter: string | null;
  readonly createdBefore: string | null;
  readonly beforeId: string | null;
  readonly limit: number;
}

const digits = '0123456789abcdefghjkmnpqrstvwxyz';
/** Ids are made a moment before their rows, by the clocks of several servers. */
const clocksDifferMs = 3_600_000;

/** The lowest id that a task can have that was made then: ids begin with their moment, so bounds in time are bounds of the index. */
function taskIdAt(ms: number): string {
  let rest = Math.max(0, Math.floor(ms));
  let text = '';
  for (let place = 0; place < 10; place++) {
    text = (digits[rest % 32] ?? '0') + text;
    rest = Math.floor(rest / 32);
  }
  return `task_${text}${'0'.repeat(16)}`;
}
const lowestId = (q: TaskFilter): string =>
  q.createdAfter === null ? 'task_' : taskIdAt(Date.parse(q.createdAfter) - clocksDifferMs);
function highestId(q: TaskFilter): string | null {
  const bound = q.createdBefore === null ? null : taskIdAt(Date.parse(q.createdBefore) + clocksDifferMs);
  if (bound === null || q.beforeId === null) return bound ?? q.beforeId;
  return bound < q.beforeId ? bound : q.beforeId;
}
const wanted = `($3::text[] is null or t.state = any ($3)) and ($4::text is null or t.capability = $4) and ($5::text is null or t.id < $5 collate "C")
  and t.id >= $7 collate "C" and ($8::text is null or t.agent = $8) and ($9::int[] is null or t.priority = any ($9))
  and ($10::timestamptz is null or t.created_at >= $10) and ($11::timestamptz is null or t.created_at < $11)`;

/** Newest first: ids sort by creation. The children of a task along their index; otherwise project by project, then merged. */
export const listTasks = (db: Sql, q: TaskFilter): Promise<TaskRow[]> => {
  const values = [
    q.teamId,
    q.projectIds,
    q.states,
    q.capability,
    highestId(q),
    q.limit,
    lowestId(q),
    q.agent,
    q.priorities,
    q.createdAfter,
    q.createdBefore,
  ];
  if (q.parentId !== null)
    return db.sql<TaskRow>(
      `select * from tasks_now t
       where t.parent_id = $12 and t.team_id = $1 and ($2::text[] is null or t.project_id = any ($2)) and ${wanted}
       order by t.id desc limit $6`,
      [...values, q.parentId],
    );
  return db.sql<TaskRow>(
    `select n.* from (
       select distinct project_id from task_lanes where team_id = $1 and ($2::text[] is null or project_id = any ($2))
     ) p cross join lateral (
       select * from tasks_now t
       where t.project_id = p.project_id and t.team_id = $1 and ${wanted}
       order by t.id desc limit $6
     ) n
     order by n.id desc limit $6`,
    values,
  );
};

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
    `select fence, number, stream, line, logged_at from task_log_lines
     where task_id = $1 and (fence, number) > ($2, $3) and ($5::bigint is null or fence = $5) order by fence, number limit $4`,
    [q.taskId, q.afterFence, q.afterNumber, q.limit, q.fence],
  );

export const openByCapability = (db: Sql, projectId: string): Promise<{ capability: string; count: number }[]> =>
  db.sql(
    `select capability, count(*)::int as count from tasks
     where project_id = $1 and state in ('open', 'waiting') group by capability order by capability`,
    [projectId],
  );

export const listOfProject = (
  db: Sql,
  q: { projectId: string; states: readonly string[] | null; beforeId: string | null; limit: number },
): Promise<TaskRow[]> =>
  db.sql<TaskRow>(
    `select * from tasks_now
     where project_id = $1 and ($2::text[] is null or state = any ($2)) and ($3::text is null or id < $3 collate "C")
     order by id desc limit $4`,
    [q.projectId, q.states, q.beforeId, q.limit],
  );
