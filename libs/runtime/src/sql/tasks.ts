import type { Rework } from '@muster/contracts';
import type { Tx } from '#kernel';
import type { AttemptRow, TaskRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

export interface NewTaskRow {
  readonly id: string;
  readonly teamId: string;
  readonly projectId: string;
  readonly capability: string;
  readonly title: string | null;
  readonly input: unknown;
  readonly priority: number;
  readonly agent: string | null;
  readonly labels: Record<string, string>;
  readonly unfitAgents: readonly string[];
  readonly maxAttempts: number;
  readonly notBefore: string | null;
  readonly parentId: string | null;
  readonly depth: number;
  readonly reopens: string | null;
  readonly requestedBy: string;
  readonly idempotencyKey: string | null;
}

/** Null when the team has a task with this idempotency key already; the constraint decides, also among many at once. */
export async function insertTask(tx: Sql, task: NewTaskRow): Promise<TaskRow | null> {
  const [row] = await tx.sql<TaskRow>(
    `insert into tasks (id, team_id, project_id, capability, title, input, priority, state, agent_wish, labels, unfit_agents, max_attempts, not_before,
       parent_id, depth, reopens, requested_by, idempotency_key, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6::jsonb, $7, 'queued', $8, $9::jsonb, $10::text[], $11, $12::timestamptz, $13, $14, $15, $16, $17, muster_now(), muster_now())
     on conflict (team_id, idempotency_key) do nothing
     returning *`,
    [
      task.id,
      task.teamId,
      task.projectId,
      task.capability,
      task.title,
      JSON.stringify(task.input),
      task.priority,
      task.agent,
      JSON.stringify(task.labels),
      task.unfitAgents,
      task.maxAttempts,
      task.notBefore,
      task.parentId,
      task.depth,
      task.reopens,
      task.requestedBy,
      task.idempotencyKey,
    ],
  );
  return row ?? null;
}

export async function taskByKey(db: Sql, teamId: string, key: string): Promise<TaskRow | null> {
  const [row] = await db.sql<TaskRow>(`select * from tasks where team_id = $1 and idempotency_key = $2`, [teamId, key]);
  return row ?? null;
}

export async function taskById(db: Sql, taskId: string): Promise<TaskRow | null> {
  const [row] = await db.sql<TaskRow>(`select * from tasks where id = $1`, [taskId]);
  return row ?? null;
}

export async function lockTask(tx: Sql, taskId: string): Promise<TaskRow | null> {
  const [row] = await tx.sql<TaskRow>(`select * from tasks where id = $1 for update`, [taskId]);
  return row ?? null;
}

export const attemptsOf = (db: Sql, taskId: string): Promise<AttemptRow[]> =>
  db.sql<AttemptRow>(`select * from attempts where task_id = $1 order by number desc limit 200`, [taskId]);

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
  readonly beforeId: string | null;
  readonly limit: number;
}

/** Newest first: ids sort by creation. */
export const listTasks = (db: Sql, q: TaskFilter): Promise<TaskRow[]> =>
  db.sql<TaskRow>(
    `select * from tasks
     where team_id = $1 and ($2::text[] is null or project_id = any ($2)) and ($3::text[] is null or state = any ($3))
       and ($4::text is null or capability = $4) and ($5::text is null or id < $5 collate "C")
     order by id desc limit $6`,
    [q.teamId, q.projectIds, q.states, q.capability, q.beforeId, q.limit],
  );

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
     where project_id = $1 and state in ('queued', 'running', 'waiting') group by capability order by capability`,
    [projectId],
  );

export const listOfProject = (
  db: Sql,
  q: { projectId: string; states: readonly string[] | null; beforeId: string | null; limit: number },
): Promise<TaskRow[]> =>
  db.sql<TaskRow>(
    `select * from tasks
     where project_id = $1 and ($2::text[] is null or state = any ($2)) and ($3::text is null or id < $3 collate "C")
     order by id desc limit $4`,
    [q.projectId, q.states, q.beforeId, q.limit],
  );
