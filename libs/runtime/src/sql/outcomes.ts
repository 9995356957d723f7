import type { Tx } from '#kernel';
import type { AfterFailure } from '../domain/lease-rules.ts';
import { anotherInstanceSeconds, releasePauseSeconds } from '../domain/lease-rules.ts';
import type { HeldState } from './leases.ts';
import type { TaskRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

/** Leaving `running` always clears what made the task somebody's; its last instance stays known for a rework. */
const freed = `lease_until = null, deadline_at = null, expiry_told = false, updated_at = muster_now()`;
const notWaiting = `wait_reason = null, wait_ref = null, wait_detail = null, next_action_at = null`;

export const closeAttempt = (
  tx: Sql,
  q: { fence: number; outcome: NonNullable<HeldState['outcome']>; error?: string; answer?: unknown },
) =>
  tx.sql(
    `update attempts set outcome = $2, error = $3, answer = $4::jsonb, ended_at = muster_now() where fence = $1 and outcome is null`,
    [q.fence, q.outcome, q.error ?? null, q.answer === undefined ? null : JSON.stringify(q.answer)],
  );

const only = async (rows: Promise<TaskRow[]>): Promise<TaskRow> => {
  const [row] = await rows;
  if (row === undefined) throw new Error('The task was not there although its row is locked.');
  return row;
};

export const succeed = (tx: Sql, taskId: string, output: unknown): Promise<TaskRow> =>
  only(
    tx.sql<TaskRow>(
      `update tasks set state = 'succeeded', output = $2::jsonb, error = null, ${notWaiting}, ${freed}, finished_at = muster_now() where id = $1 returning *`,
      [taskId, JSON.stringify(output)],
    ),
  );

export const failForGood = (tx: Sql, taskId: string, failures: number, error: string): Promise<TaskRow> =>
  only(
    tx.sql<TaskRow>(
      `update tasks set state = 'failed', failures = $2, error = $3, ${notWaiting}, ${freed}, finished_at = muster_now() where id = $1 returning *`,
      [taskId, failures, error],
    ),
  );

export const cancel = (tx: Sql, taskId: string, reason: string): Promise<TaskRow> =>
  only(
    tx.sql<TaskRow>(
      `update tasks set state = 'cancelled', error = $2, ${notWaiting}, ${freed}, finished_at = muster_now() where id = $1 returning *`,
      [taskId, reason],
    ),
  );

export const wait = (
  tx: Sql,
  taskId: string,
  q: {
    reason: NonNullable<TaskRow['wait_reason']>;
    ref?: string | null;
    detail?: string | null;
    afterSeconds?: number;
    failures?: number;
    submissionId?: string;
    error?: string | null;
  },
): Promise<TaskRow> =>
  only(
    tx.sql<TaskRow>(
      `update tasks set state = 'waiting', wait_reason = $2, wait_ref = $3, wait_detail = $4,
         next_action_at = case when $5::float8 is null then null else muster_now() + make_interval(secs => $5::float8) end,
         failures = coalesce($6::int, failures), submission_id = coalesce($7::text, submission_id), error = coalesce($8::text, error), ${freed}
       where id = $1 returning *`,
      [
        taskId,
        q.reason,
        q.ref ?? null,
        q.detail ?? null,
        q.afterSeconds ?? null,
        q.failures ?? null,
        q.submissionId ?? null,
        q.error ?? null,
      ],
    ),
  );

/** Straight back, without having cost an attempt. The one who gave it back is not handed it again in the next moment. */
export const giveBack = (tx: Sql, taskId: string, instanceId: string | null): Promise<TaskRow> =>
  only(
    tx.sql<TaskRow>(
      `update tasks set state = 'queued', ${notWaiting}, ${freed},
         avoid_instances = case when $2::text is null then avoid_instances when avoid_then_person then array_append(avoid_instances, $2::text) else array[$2::text] end,
         avoid_until = case when $2::text is null then avoid_until else greatest(avoid_until, muster_now() + make_interval(secs => $3)) end
       where id = $1 returning *`,
      [taskId, instanceId, releasePauseSeconds],
    ),
  );

/** To any instance but the ones that failed it, and to a person when no such one takes it in time. */
export const queueForAnother = (tx: Sql, taskId: string, failures: number, error: string): Promise<TaskRow> =>
  only(
    tx.sql<TaskRow>(
      `update tasks set state = 'queued', failures = $2, error = $3, ${notWaiting}, ${freed},
         avoid_instances = array(select distinct a.instance_id from attempts a where a.task_id = $1 and a.outcome in ('failed', 'expired')),
         avoid_until = muster_now() + make_interval(secs => $4), avoid_then_person = true
       where id = $1 returning *`,
      [taskId, failures, error, anotherInstanceSeconds],
    ),
  );

/** Back in the queue with the reasons why its submission did not go in, first for the instance that knows the work. */
export const queueForRework = (
  tx: Sql,
  taskId: string,
  rework: unknown,
  round: number,
  preferredSeconds: number,
): Promise<TaskRow> =>
  only(
    tx.sql<TaskRow>(
      `update tasks set state = 'queued', rework = $2::jsonb, reworks = $3, failures = 0, ${notWaiting}, ${freed},
         preferred_instance_id = instance_id, preferred_until = muster_now() + make_interval(secs => $4),
         avoid_instances = '{}', avoid_until = null, avoid_then_person = false
       where id = $1 returning *`,
      [taskId, JSON.stringify(rework), round, preferredSeconds],
    ),
  );

/** A person's decision: from the start, for anyone, and with a whole budget. What was spent stays reported. */
export const queueAgain = (tx: Sql, taskId: string): Promise<TaskRow> =>
  only(
    tx.sql<TaskRow>(
      `update tasks set state = 'queued', failures = 0, forgiven_cost_usd = own_cost_usd, ${notWaiting}, ${freed},
         avoid_instances = '{}', avoid_until = null, avoid_then_person = false
       where id = $1 returning *`,
      [taskId],
    ),
  );

/** Applies what the rules decided about a failure, with its events. */
export async function applyFailure(
  tx: Tx,
  task: TaskRow,
  q: {
    outcome: 'failed' | 'expired';
    error: string;
    failures: number;
    next: AfterFailure;
    answerOf?: (after: TaskRow) => unknown;
    tellExpiry?: boolean;
  },
): Promise<TaskRow> {
  const fence = Number(task.fence);
  // The attempt is closed first: whom to avoid is read from the closed ones.
  await closeAttempt(tx, { fence, outcome: q.outcome, error: q.error });
  const after = await settle(tx, task, q);
  if (q.answerOf !== undefined)
    await tx.sql(`update attempts set answer = $2::jsonb where fence = $1`, [fence, JSON.stringify(q.answerOf(after))]);
  const about = { teamId: task.team_id, projectId: task.project_id, subject: task.id };
  if (q.outcome === 'failed') {
    const retryAt = after.next_action_at?.toISOString() ?? null;
    tx.append({
      ...about,
      type: 'task.attempt_failed',
      data: { taskId: task.id, attempt: task.attempt, fence, error: q.error, retryAt },
    });
  } else if (q.tellExpiry !== false) {
    tx.append({
      ...about,
      type: 'task.lease_expired',
      data: { taskId: task.id, attempt: task.attempt, fence, instanceId: task.instance_id },
    });
  }
  if (after.state === 'failed')
    tx.append({
      ...about,
      type: 'task.failed',
      data: { taskId: task.id, capability: task.capability, error: q.error },
    });
  else if (after.state === 'waiting')
    tx.append({
      ...about,
      type: 'task.waiting',
      data: { taskId: task.id, reason: after.wait_reason, ref: after.wait_ref },
    });
  else
    tx.append({
      ...about,
      type: 'task.requeued',
      data: { taskId: task.id, reason: 'another_instance', round: after.reworks },
    });
  return after;
}

function settle(tx: Tx, task: TaskRow, q: { error: string; failures: number; next: AfterFailure }): Promise<TaskRow> {
  switch (q.next.kind) {
    case 'retry':
      return wait(tx, task.id, {
        reason: 'retry',
        afterSeconds: q.next.afterSeconds,
        failures: q.failures,
        detail: q.error.slice(0, 500),
        error: q.error,
      });
    case 'another_instance':
      return queueForAnother(tx, task.id, q.failures, q.error);
    case 'person':
      return wait(tx, task.id, {
        reason: 'person',
        failures: q.failures,
        detail: `tried ${q.failures} times: ${q.error}`.slice(0, 500),
        error: q.error,
      });
    case 'failed':
      return failForGood(tx, task.id, q.failures, q.error);
  }
}
