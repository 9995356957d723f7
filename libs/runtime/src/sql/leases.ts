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

/**
 * The guard of every write: the fence is the task's current one and it still runs. How late the lease is does not matter
 * while nobody else has claimed the task. Locks the row until the transaction ends.
 */
const current = `id = $1 and fence = $2 and holder_id = $3 and state = 'running'`;

/** Renews the lease; null means that the attempt is not the holder's any more. */
export async function renew(tx: Sql, by: Holder, leaseSeconds: number): Promise<TaskRow | null> {
  const [row] = await tx.sql<TaskRow>(
    `update tasks set lease_until = muster_now() + make_interval(secs => $4), expiry_told = false, updated_at = muster_now() where ${current} returning *`,
    [by.taskId, by.fence, by.actorId, leaseSeconds],
  );
  return row ?? null;
}

/** Locks the task under its fence without changing it. */
export async function lock(tx: Sql, by: Holder): Promise<TaskRow | null> {
  const [row] = await tx.sql<TaskRow>(`select * from tasks where ${current} for update`, [
    by.taskId,
    by.fence,
    by.actorId,
  ]);
  return row ?? null;
}

/** The same for the server itself, which acts under a fence that it read. */
export async function lockByFence(tx: Sql, taskId: string, fence: number): Promise<TaskRow | null> {
  const [row] = await tx.sql<TaskRow>(
    `select * from tasks where id = $1 and fence = $2 and state = 'running' for update`,
    [taskId, fence],
  );
  return row ?? null;
}

/** Renews many leases of one instance; answers with those that were still its own. */
export const renewMany = (
  tx: Sql,
  q: { actorId: string; instanceId: string; held: readonly { taskId: string; fence: number }[]; leaseSeconds: number },
): Promise<{ id: string; fence: number }[]> =>
  tx.sql(
    `with mine as (
       -- children first, in the order in which costs climb to their parents, so that the two never wait for each other
       select t.id from tasks t join jsonb_to_recordset($1::jsonb) as h("taskId" text, fence bigint) on h."taskId" = t.id and h.fence = t.fence
       where t.state = 'running' and t.holder_id = $2 and t.instance_id = $3
       order by t.id desc for update of t
     )
     update tasks t set lease_until = muster_now() + make_interval(secs => $4), expiry_told = false
     from mine where t.id = mine.id returning t.id, t.fence`,
    [JSON.stringify(q.held), q.actorId, q.instanceId, q.leaseSeconds],
  );

export interface HeldState {
  readonly taskId: string;
  readonly fence: number;
  readonly outcome: 'completed' | 'submitted' | 'failed' | 'released' | 'expired' | 'cancelled' | null;
  readonly error: string | null;
  /** Ended by the server, not by a verb of the holder's. */
  readonly byServer: boolean;
}

/** Of these held attempts, the ones that are not current any more, with how they ended (null: there never was one). */
export const endedOf = (db: Sql, held: readonly { taskId: string; fence: number }[]): Promise<HeldState[]> =>
  db.sql<HeldState>(
    `select h."taskId", h.fence, a.outcome, a.error, a.answer is null as "byServer"
     from jsonb_to_recordset($1::jsonb) as h("taskId" text, fence bigint)
     left join attempts a on a.task_id = h."taskId" and a.fence = h.fence
     where not exists (select 1 from tasks t where t.id = h."taskId" and t.fence = h.fence and t.state = 'running')`,
    [JSON.stringify(held)],
  );

export const heldBy = (db: Sql, instanceId: string): Promise<{ taskId: string; fence: number }[]> =>
  db.sql(`select id as "taskId", fence from tasks where instance_id = $1 and state = 'running'`, [instanceId]);

export interface HeldAttemptRow {
  readonly attempt_id: string;
  readonly number: number;
  readonly outcome: HeldState['outcome'];
  readonly answer: unknown;
  readonly capability: string;
  readonly output_schema: unknown;
  readonly limits: InstanceLimits | null;
}

/** The holder's attempt whatever became of it; null when this fence was never the holder's. */
export async function attemptOf(db: Sql, by: Holder): Promise<HeldAttemptRow | null> {
  const [row] = await db.sql<HeldAttemptRow>(
    `select a.id as attempt_id, a.number, a.outcome, a.answer, t.capability, i.output_schemas -> t.capability as output_schema, i.limits
     from attempts a join tasks t on t.id = a.task_id left join instances i on i.id = a.instance_id
     where a.task_id = $1 and a.fence = $2 and a.holder_id = $3`,
    [by.taskId, by.fence, by.actorId],
  );
  return row ?? null;
}

export const writeProgress = (tx: Sql, fence: number, ratio: number | null, message: string) =>
  tx.sql(`update attempts set progress = coalesce($2, progress), progress_message = $3 where fence = $1`, [
    fence,
    ratio,
    message,
  ]);

export const writeCheckpoint = async (tx: Sql, taskId: string, fence: number, state: unknown): Promise<void> => {
  await tx.sql(`update attempts set checkpoint = $2::jsonb where fence = $1`, [fence, JSON.stringify(state)]);
  await tx.sql(`update tasks set checkpoint = $2::jsonb where id = $1`, [taskId, JSON.stringify(state)]);
};

/** Keeps at most `limit` lines of an attempt; says once where the rest was dropped. */
export const writeLog = (
  tx: Sql,
  q: { taskId: string; fence: number; stream: string; lines: readonly string[]; limit: number },
) =>
  tx.sql(
    `with counted as (
       update attempts set log_lines = least(log_lines + $5, $6 + 1) where fence = $2 returning log_lines as after, greatest(0, $6 - (select log_lines from attempts where fence = $2)) as room,
         (select log_lines from attempts where fence = $2) as before
     )
     insert into task_log_lines (task_id, fence, number, stream, line, logged_at)
     select $1, $2, c.before + l.place, $3, case when l.place <= c.room then l.line else '… the rest of this log was dropped' end, muster_now()
     from counted c, jsonb_array_elements_text($4::jsonb) with ordinality as l(line, place)
     where l.place <= c.room + 1 and c.before + l.place <= $6 + 1`,
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
  await tx.sql(`update attempts set cost_usd = cost_usd + $2::numeric where fence = $1`, [q.fence, q.usd]);
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
