import type { Tx } from '#kernel';
import type { AfterFailure } from '../domain/lease-rules.ts';
import { anotherInstanceSeconds, releasePauseSeconds } from '../domain/lease-rules.ts';
import type { HeldState } from './leases.ts';
import type { TaskRow } from '../domain/task-row.ts';

/** One task at a time, in a transaction that has locked it. Completions, which are many, have a statement of their own. */
type Sql = Pick<Tx, 'sql'>;

const notWaiting = `wait_reason = null, wait_ref = null, wait_detail = null, next_action_at = null`;

/** Moves the open attempt to the closed ones. What it was given to do is nobody's from now on, also where it had been offered to others. */
export const closeAttempt = (
  tx: Sql,
  q: { taskId: string; outcome: NonNullable<HeldState['outcome']>; error?: string; answer?: unknown },
) =>
  tx.sql(
    `with gone as (
       delete from task_running where task_id = $1 returning *
     ), unoffered as (
       delete from task_ready r using gone g where r.lane = -g.lane and r.seq = g.ready_seq
     ), kept as (
       insert into attempts (id, task_id, number, fence, instance_id, holder_id, agent, agent_version, outcome, error, answer, progress, progress_message,
         checkpoint, cost_usd, log_lines, started_at, ended_at)
       select attempt_id, task_id, number, fence, instance_id, holder_id, agent, agent_version, $2, $3, $4::jsonb, progress, progress_message,
         checkpoint, cost_usd, log_lines, started_at, muster_now() from gone
     )
     update tasks t set attempt = g.number, max_attempts = least(t.max_attempts, g.max_attempts), instance_id = g.instance_id, agent = g.agent,
       checkpoint = coalesce(g.checkpoint, t.checkpoint)
     from gone g where t.id = g.task_id`,
    [q.taskId, q.outcome, q.error ?? null, q.answer === undefined ? null : JSON.stringify(q.answer)],
  );

async function shown(tx: Sql, taskId: string): Promise<TaskRow> {
  const [row] = await tx.sql<TaskRow>(`select * from tasks_now where id = $1`, [taskId]);
  if (row === undefined) throw new Error('The task was not there although its row is locked.');
  return row;
}

/** Nobody can claim it any more. */
export const dequeue = (tx: Sql, taskId: string) =>
  tx.sql(
    `delete from task_ready r using tasks t where t.id = $1 and r.lane in (t.lane, -t.lane) and r.seq = t.ready_seq`,
    [taskId],
  );

/** Who may not have it, or has it first. */
interface Conditions {
  readonly avoid?: {
    readonly instances: readonly string[];
    readonly seconds: number;
    /** Then a person is asked, and nobody else is let at it before. */
    readonly thenPerson: boolean;
  };
  readonly preferred?: { readonly instanceId: string; readonly seconds: number };
}

/** Claimable again; behind what is in its lane already. */
async function enqueue(tx: Sql, taskId: string, { avoid, preferred }: Conditions): Promise<TaskRow> {
  await tx.sql(
    `with placed as (
       update tasks set state = 'open', ready_seq = nextval('task_ready_seq'), ${notWaiting}, updated_at = muster_now() where id = $1
       returning id, lane, ready_seq, attempt
     ), due as (
       insert into task_due (task_id, kind, at)
       select id, 'unwanted', muster_now() + make_interval(secs => $3::float8) from placed where $4::boolean
       on conflict (task_id, kind) do update set at = excluded.at
     )
     insert into task_ready (lane, seq, task_id, ready_at, attempts, avoid_instances, avoid_until, avoid_then_person, preferred_instance_id, preferred_until)
     select case when $2::text[] is null and $5::text is null then lane else -lane end, ready_seq, id, muster_now(), attempt,
       $2::text[], muster_now() + make_interval(secs => $3::float8), $4::boolean, $5::text, muster_now() + make_interval(secs => $6::float8)
     from placed`,
    [
      taskId,
      avoid?.instances ?? null,
      avoid?.seconds ?? null,
      avoid?.thenPerson ?? null,
      preferred?.instanceId ?? null,
      preferred?.seconds ?? null,
    ],
  );
  return shown(tx, taskId);
}

export async function succeed(tx: Sql, taskId: string, output: unknown): Promise<TaskRow> {
  await tx.sql(
    `update tasks set state = 'succeeded', output = $2::jsonb, error = null, ${notWaiting}, updated_at = muster_now(), finished_at = muster_now() where id = $1`,
    [taskId, JSON.stringify(output)],
  );
  return shown(tx, taskId);
}

export async function failForGood(tx: Sql, taskId: string, failures: number, error: string): Promise<TaskRow> {
  await tx.sql(
    `update tasks set state = 'failed', ended_as = 'failed', failures = $2, error = $3, ${notWaiting}, updated_at = muster_now(), finished_at = muster_now() where id = $1`,
    [taskId, failures, error],
  );
  return shown(tx, taskId);
}

export async function cancel(tx: Sql, taskId: string, reason: string): Promise<TaskRow> {
  await dequeue(tx, taskId);
  await tx.sql(
    `update tasks set state = 'cancelled', ended_as = 'cancelled', error = $2, ${notWaiting}, updated_at = muster_now(), finished_at = muster_now() where id = $1`,
    [taskId, reason],
  );
  return shown(tx, taskId);
}

export async function wait(
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
): Promise<TaskRow> {
  await dequeue(tx, taskId);
  await tx.sql(
    `with waiting as (
       update tasks set state = 'waiting', wait_reason = $2, wait_ref = $3, wait_detail = $4,
         next_action_at = case when $5::float8 is null then null else muster_now() + make_interval(secs => $5::float8) end,
         failures = coalesce($6::int, failures), submission_id = coalesce($7::text, submission_id), error = coalesce($8::text, error),
         updated_at = muster_now()
       where id = $1 returning id, wait_reason, next_action_at
     )
     insert into task_due (task_id, kind, at) select id, wait_reason, next_action_at from waiting where wait_reason = 'retry'
     on conflict (task_id, kind) do update set at = excluded.at`,
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
  );
  return shown(tx, taskId);
}

/** Straight back, without having cost an attempt. The one who gave it back is not handed it again in the next moment. */
export const giveBack = (tx: Sql, taskId: string, instanceId: string | null): Promise<TaskRow> =>
  enqueue(
    tx,
    taskId,
    instanceId === null ? {} : { avoid: { instances: [instanceId], seconds: releasePauseSeconds, thenPerson: false } },
  );

/** To any instance but the ones that failed it, and to a person when no such one takes it in time. */
export async function queueForAnother(tx: Sql, taskId: string, failures: number, error: string): Promise<TaskRow> {
  await tx.sql(`update tasks set failures = $2, error = $3 where id = $1`, [taskId, failures, error]);
  const failed = await tx.sql<{ instance_id: string }>(
    `select distinct instance_id from attempts where task_id = $1 and outcome in ('failed', 'expired')`,
    [taskId],
  );
  return enqueue(tx, taskId, {
    avoid: { instances: failed.map((row) => row.instance_id), seconds: anotherInstanceSeconds, thenPerson: true },
  });
}

/** Back in the queue with the reasons why its submission did not go in, first for the instance that knows the work. */
export async function queueForRework(
  tx: Sql,
  task: TaskRow,
  rework: unknown,
  round: number,
  preferredSeconds: number,
): Promise<TaskRow> {
  await tx.sql(`update tasks set rework = $2::jsonb, reworks = $3, failures = 0 where id = $1`, [
    task.id,
    JSON.stringify(rework),
    round,
  ]);
  return enqueue(
    tx,
    task.id,
    task.instance_id === null ? {} : { preferred: { instanceId: task.instance_id, seconds: preferredSeconds } },
  );
}

/** A person's decision: from the start, for anyone, and with a whole budget. What was spent stays reported. */
export async function queueAgain(tx: Sql, taskId: string): Promise<TaskRow> {
  await tx.sql(`update tasks set failures = 0, forgiven_cost_usd = own_cost_usd where id = $1`, [taskId]);
  return enqueue(tx, taskId, {});
}

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
  await closeAttempt(tx, { taskId: task.id, outcome: q.outcome, error: q.error });
  const after = await settle(tx, task, q);
  if (q.answerOf !== undefined)
    await tx.sql(`update attempts set answer = $3::jsonb where task_id = $1 and fence = $2`, [
      task.id,
      fence,
      JSON.stringify(q.answerOf(after)),
    ]);
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
