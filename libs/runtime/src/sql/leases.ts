import type { Tx } from '#kernel';
import { storable } from '../domain/storable.ts';
import type { InstanceLimits, TaskRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

/** Who writes: the attempt is its key's alone, and its number is no secret. */
export interface Holder {
  readonly actorId: string;
  readonly taskId: string;
  readonly fence: number;
}

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
  readonly limits: InstanceLimits | null;
}

/**
 * Renews the lease; null means that the attempt is not the holder's any more. The fence is the guard of every write: how late the
 * lease is does not matter while nobody else has claimed the task, and what was offered to others is taken back.
 */
export async function renew(tx: Sql, by: Holder, leaseSeconds: number): Promise<HeldRow | null> {
  const [row] = await tx.sql<HeldRow>(
    `with held as (
       select task_id, lane, ready_seq from task_running where task_id = $1 and fence = $2 and holder_id = $3 for update
     ), unoffered as (
       delete from task_ready r using held h where r.lane = -h.lane and r.seq = h.ready_seq
     ), renewed as (
       update task_running r set lease_until = muster_now() + make_interval(secs => $4), expiry_told = false, ready_seq = null
       from held h where r.task_id = h.task_id returning r.*
     )
     select r.task_id, r.fence, r.number, r.lease_until, r.instance_id, l.team_id, l.project_id, l.capability,
       (select i.limits from instances i where i.id = r.instance_id) as limits
     from renewed r join task_lanes l on l.id = r.lane`,
    [by.taskId, by.fence, by.actorId, leaseSeconds],
  );
  return row ?? null;
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

export const writeProgress = (tx: Sql, taskId: string, ratio: number | null, message: string) =>
  tx.sql(`update task_running set progress = coalesce($2, progress), progress_message = $3 where task_id = $1`, [
    taskId,
    ratio,
    message,
  ]);

/** Kept with the open attempt; goes to the task when that ends. */
export const writeCheckpoint = (tx: Sql, taskId: string, state: unknown) =>
  tx.sql(`update task_running set checkpoint = $2::jsonb where task_id = $1`, [taskId, JSON.stringify(state)]);

/** Keeps at most `limit` lines of an attempt; says once where the rest was dropped. */
export const writeLog = (
  tx: Sql,
  q: { taskId: string; fence: number; stream: string; lines: readonly string[]; limit: number },
) =>
  tx.sql(
    `with before as (select log_lines as lines from task_running where task_id = $1),
     counted as (
       update task_running set log_lines = least(log_lines + $5, $6 + 1) where task_id = $1 returning task_id
     )
     insert into task_log_lines (task_id, fence, number, stream, line, logged_at)
     select $1, $2, b.lines + l.place, $3, case when l.place <= $6 - b.lines then l.line else '… the rest of this log was dropped' end, muster_now()
     from before b, counted, jsonb_array_elements_text($4::jsonb) with ordinality as l(line, place)
     where l.place <= greatest(0, $6 - b.lines) + 1 and b.lines + l.place <= $6 + 1`,
    [q.taskId, q.fence, q.stream, JSON.stringify(q.lines.map(storable)), q.lines.length, q.limit],
  );

/** False when a report with this key was counted before. */
export async function writeCost(
  tx: Sql,
  q: {
    taskId: string;
    fence: number;
    key: string;
    usd: number;
    model: string | null;
    inputTokens: number | null;
    outputTokens: number | null;
  },
): Promise<boolean> {
  const added = await tx.sql(
    `insert into task_costs (task_id, key, fence, usd, model, input_tokens, output_tokens, reported_at)
     values ($1, $2, $3, $4, $5, $6, $7, muster_now()) on conflict (task_id, key) do nothing returning task_id`,
    [q.taskId, q.key, q.fence, q.usd, q.model, q.inputTokens, q.outputTokens],
  );
  if (added.length === 0) return false;
  await tx.sql(`update task_running set cost_usd = cost_usd + $2::numeric where task_id = $1`, [q.taskId, q.usd]);
  await tx.sql(
    `update tasks set own_cost_usd = own_cost_usd + $2::numeric, cost_usd = cost_usd + $2::numeric where id = $1`,
    [q.taskId, q.usd],
  );
  // Upwards, one after another: every cost climbs from child to parent, so two of them never wait for each other in a circle.
  for (let at: string | null = q.taskId; at !== null;) {
    const [parent]: { id: string }[] = await tx.sql<{ id: string }>(
      `update tasks set cost_usd = cost_usd + $2::numeric where id = (select parent_id from tasks where id = $1) returning id`,
      [at, q.usd],
    );
    at = parent?.id ?? null;
  }
  return true;
}
