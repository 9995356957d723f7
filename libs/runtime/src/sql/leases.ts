import type { Tx } from '#kernel';
import type { InstanceLimits, TaskRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

/** Who writes: the attempt is its key's alone, and its number is no secret. */
export interface Holder {
  readonly actorId: string;
  readonly taskId: string;
  readonly fence: number;
}

/** Locks the open attempt and its task without changing them. */
export async function lock(tx: Sql, by: Holder): Promise<TaskRow | null> {
  const held = await tx.sql(
    `select 1 from task_running where task_id = $1 and fence = $2 and holder_id = $3 for update`,
    [by.taskId, by.fence, by.actorId],
  );
  return held.length === 0 ? null : lockedTask(tx, by.taskId);
}

/** The same for the server itself, which acts under a fence that it read. */
export async function lockByFence(tx: Sql, taskId: string, fence: number): Promise<TaskRow | null> {
  const held = await tx.sql(`select 1 from task_running where task_id = $1 and fence = $2 for update`, [taskId, fence]);
  return held.length === 0 ? null : lockedTask(tx, taskId);
}

async function lockedTask(tx: Sql, taskId: string): Promise<TaskRow | null> {
  await tx.sql(`select 1 from tasks where id = $1 for update`, [taskId]);
  const [row] = await tx.sql<TaskRow>(`select * from tasks_now where id = $1`, [taskId]);
  return row ?? null;
}

export interface HeldState {
  readonly taskId: string;
  readonly fence: number;
  readonly outcome: 'completed' | 'submitted' | 'failed' | 'released' | 'expired' | 'cancelled' | null;
  readonly error: string | null;
  /** Ended by the server, not by a verb of the holder's. */
  readonly byServer: boolean;
}

/** Of these held attempts, the ones that are not open any more, with how they ended (null: there never was one). */
export const endedOf = (db: Sql, held: readonly { taskId: string; fence: number }[]): Promise<HeldState[]> =>
  db.sql<HeldState>(
    `select h.task_id as "taskId", h.fence, a.outcome, a.error, coalesce(a.outcome not in ('completed', 'submitted') and a.answer is null, true) as "byServer"
     from unnest($1::text[], $2::bigint[]) as h(task_id, fence)
     left join attempts a on a.task_id = h.task_id and a.fence = h.fence
     where not exists (select 1 from task_running r where r.task_id = h.task_id and r.fence = h.fence)`,
    [held.map((lease) => lease.taskId), held.map((lease) => lease.fence)],
  );

export interface OpenAttempt {
  readonly taskId: string;
  readonly fence: number;
  readonly lane: number;
}

export const heldBy = (db: Sql, instanceId: string): Promise<OpenAttempt[]> =>
  db.sql(`select task_id as "taskId", fence, lane from task_running where instance_id = $1`, [instanceId]);

export interface HeldAttemptRow {
  readonly number: number;
  /** Null: it is open. */
  readonly outcome: HeldState['outcome'];
  readonly answer: unknown;
  readonly capability: string;
  readonly output_schema: unknown;
  readonly limits: InstanceLimits | null;
}

/** The holder's attempt whatever became of it; null when this fence was never the holder's. */
export async function attemptOf(db: Sql, by: Holder): Promise<HeldAttemptRow | null> {
  const [row] = await db.sql<HeldAttemptRow>(
    `select a.number, a.outcome, a.answer, t.capability, i.output_schemas -> t.capability as output_schema, i.limits
     from attempts_now a join tasks t on t.id = a.task_id left join instances i on i.id = a.instance_id
     where a.task_id = $1 and a.fence = $2 and a.holder_id = $3`,
    [by.taskId, by.fence, by.actorId],
  );
  return row ?? null;
}
