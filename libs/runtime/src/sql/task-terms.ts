import type { HotSql } from './claim.ts';
import { inOneOrder } from './create.ts';
import type { Tx } from '#kernel';
import type { TaskState } from '@muster/contracts';

type Sql = Pick<Tx, 'sql'>;

export interface NeededTask {
  readonly id: string;
  readonly team_id: string;
  readonly state: 'open' | 'waiting' | 'succeeded' | 'failed' | 'cancelled';
}

/** The tasks that others are about to depend on, locked: none of them ends between being looked at and being waited for. */
export async function lockNeeded(tx: Sql, taskIds: readonly string[]): Promise<NeededTask[]> {
  const there = await tx.sql<NeededTask>(
    `select id, team_id, state from tasks where id = any ($1::text[]) order by id for update`,
    [taskIds],
  );
  if (there.length === taskIds.length) return there;
  const missing = taskIds.filter((id) => !there.some((one) => one.id === id));
  return [
    ...there,
    ...(await tx.sql<NeededTask>(`select id, team_id, state from task_archive where id = any ($1::text[])`, [missing])),
  ];
}

/** From now on their end is told to those that wait for them. */
export const markNeeded = (tx: Sql, taskIds: readonly string[]) =>
  tx.sql(`update tasks set has_dependants = true where id = any ($1::text[]) and not has_dependants`, [taskIds]);

export interface NewTermedRow {
  readonly id: string;
  readonly lane: number;
  readonly title: string | null;
  /** JSON. */
  readonly input: string;
  readonly maxAttempts: number;
  readonly notBefore: string | null;
  readonly deadline: string | null;
  readonly onDependencyFailure: 'cancel' | 'person';
  readonly needs: readonly { readonly id: string; readonly met: boolean }[];
  readonly stickyTask: string | null;
  readonly stickyKey: string | null;
  /** Null: to nobody. */
  readonly stickyTo: 'instance' | 'agent' | null;
  readonly stickySeconds: number | null;
  /** The content that its input refers to. */
  readonly blob: string | null;
  readonly parentId: string | null;
  readonly depth: number;
  readonly reopens: string | null;
  readonly requestedBy: string;
  readonly idempotencyKey: string | null;
}
export interface MadeTermed {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly priority: number;
  readonly lane: number;
  readonly ready_seq: number | null;
  readonly state: 'open' | 'waiting';
  readonly wait_ref: string | null;
}

/** Like the creation of plain tasks, for those with a deadline or with tasks to wait for. The caller tells the events. */
export const createTermed = (tx: Sql, tasks: readonly NewTermedRow[]): Promise<MadeTermed[]> =>
  tx.sql(
    `with clock as materialized (select muster_now() as now),
     given as materialized (
       select i.*, l.team_id, l.project_id, l.capability, l.priority,
         b.blocker, case when b.blocker is null and coalesce(i."notBefore" <= c.now, true) then nextval('task_ready_seq') end as seq
       from jsonb_to_recordset($1::jsonb) as i(id text, lane integer, title text, input jsonb, "maxAttempts" integer, "notBefore" timestamptz, deadline timestamptz,
         "onDependencyFailure" text, needs jsonb, "parentId" text, depth integer, reopens text, "requestedBy" text, "idempotencyKey" text,
         "stickyTask" text, "stickyKey" text, "stickyTo" text, "stickySeconds" integer, blob text)
       join task_lanes l on l.id = i.lane
       cross join lateral (select min(n.id) as blocker from jsonb_to_recordset(i.needs) as n(id text, met boolean) where not n.met) b cross join clock c
     ),
     made as (
       insert into tasks (id, team_id, project_id, capability, title, input, priority, state, wait_reason, wait_ref, wait_detail, lane, ready_seq, max_attempts,
         parent_id, depth, reopens, requested_by, idempotency_key, created_at, updated_at)
       select i.id, i.team_id, i.project_id, i.capability, i.title, i.input, i.priority,
         case when i.blocker is null then 'open' else 'waiting' end, case when i.blocker is not null then 'dependency' end, i.blocker,
         case when i.blocker is not null then 'waits until ' || case when jsonb_array_length(i.needs) = 1 then 'that task has' else 'all ' || jsonb_array_length(i.needs) || ' tasks of dependsOn have' end || ' succeeded' end,
         i.lane, i.seq, i."maxAttempts",
         i."parentId", i.depth, i.reopens, i."requestedBy", i."idempotencyKey", c.now, c.now
       from given i, clock c
       ${inOneOrder('i.team_id, i."idempotencyKey"')}
       on conflict do nothing
       returning id, team_id, project_id, priority, lane, ready_seq, state, wait_ref
     ),
     queued as (
       insert into task_ready (lane, seq, task_id, ready_at, attempts)
       select m.lane, m.ready_seq, m.id, c.now, 0 from made m, clock c where m.ready_seq is not null
     ),
     due as (
       insert into task_due (task_id, kind, at)
       select m.id, 'delay', i."notBefore" from made m join given i on i.id = m.id where m.state = 'open' and m.ready_seq is null
       union all
       select m.id, 'deadline', i.deadline from made m join given i on i.id = m.id where i.deadline is not null
     ),
     terms as (
       insert into task_terms (task_id, not_before, deadline_at, on_dependency_failure, sticky_task, sticky_key, sticky_to, sticky_seconds)
       select m.id, i."notBefore", i.deadline, i."onDependencyFailure", i."stickyTask", i."stickyKey", i."stickyTo", i."stickySeconds" from made m join given i on i.id = m.id
     ),
     uses as (
       insert into task_blob_uses (task_id, project_id, digest) select m.id, m.project_id, i.blob from made m join given i on i.id = m.id where i.blob is not null
     ),
     needs as (
       insert into task_dependencies (task_id, needs_id, met)
       select m.id, n.id, n.met from made m join given i on i.id = m.id, jsonb_to_recordset(i.needs) as n(id text, met boolean)
     )
     select * from made order by id`,
    [JSON.stringify(tasks.map((task) => ({ ...task, input: JSON.parse(task.input) as unknown })))],
  );

export interface Terms {
  readonly deadlineAt: Date | null;
  readonly dependsOn: { taskId: string; state: TaskState }[];
}

export async function termsOf(db: Sql, taskId: string): Promise<Terms> {
  const [row] = await db.sql<{ deadlineAt: Date | null }>(
    `select deadline_at as "deadlineAt" from task_terms where task_id = $1`,
    [taskId],
  );
  if (row === undefined) return { deadlineAt: null, dependsOn: [] };
  const dependsOn = await db.sql<{ taskId: string; state: TaskState }>(
    `select n.id as "taskId", n.state from task_dependencies d join tasks_kept n on n.id = d.needs_id where d.task_id = $1 order by n.id`,
    [taskId],
  );
  return { deadlineAt: row.deadlineAt, dependsOn };
}

/** An ended task whose dependants are to be told, taken by this transaction alone. False: somebody else has it. */
export async function takeEndedNeed(tx: Sql, taskId: string): Promise<boolean> {
  const taken = await tx.sql(
    `delete from task_due where (task_id, kind) in (
       select task_id, kind from task_due where task_id = $1 and kind = 'dependants' for update skip locked) returning task_id`,
    [taskId],
  );
  return taken.length > 0;
}

/** What is decided about its dependants went wrong: others are not to wait behind it. */
export const tellLater = (db: Sql, taskId: string, seconds: number) =>
  db.sql(
    `update task_due set at = muster_now() + make_interval(secs => $2) where task_id = $1 and kind = 'dependants'`,
    [taskId, seconds],
  );

/** Not all of them could be told in one go. */
export const tellRestLater = (tx: Sql, taskId: string, seconds: number) =>
  tx.sql(
    `insert into task_due (task_id, kind, at) values ($1, 'dependants', muster_now() + make_interval(secs => $2)) on conflict (task_id, kind) do nothing`,
    [taskId, seconds],
  );

/**
 * The next ended task whose dependants have not all been told. Where it succeeded, they have been, as far as it goes at once: by a statement that commits by
 * itself, since it writes events. What comes of its other ends is decided where it is taken.
 */
export async function tellEndedNeed(
  db: HotSql,
  limit: number,
): Promise<{ id: string; state: NeededTask['state'] } | null> {
  const [row] = await db.hot<{ id: string | null; state: NeededTask['state']; head: number | null }>(
    'tell an ended need',
    `select id, state, head from tell_ended_need($1)`,
    [limit],
  );
  db.appended(row?.head ?? null);
  return row === undefined || row.id === null ? null : { id: row.id, state: row.state };
}

export interface LetDown {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly state: 'waiting' | 'cancelled';
}

/** What waits for a task that will not succeed any more does what its creator chose. */
export const letDown = (tx: Sql, q: { needsId: string; reason: string; limit: number }): Promise<LetDown[]> =>
  tx.sql(
    `with waiting as materialized (
       select t.id, coalesce(p.on_dependency_failure, 'cancel') = 'cancel' as cancel
       from task_dependencies d join tasks t on t.id = d.task_id left join task_terms p on p.task_id = d.task_id
       where d.needs_id = $1 and not d.met and t.state = 'waiting' and t.wait_reason = 'dependency'
       order by t.id limit $3 for update of t
     )
     update tasks t set state = case when w.cancel then 'cancelled' else 'waiting' end, ended_as = case when w.cancel then 'cancelled' end, error = $2, wait_reason = case when not w.cancel then 'person' end,
       wait_ref = case when not w.cancel then $1 end, wait_detail = case when not w.cancel then $2 end, updated_at = muster_now(),
       finished_at = case when w.cancel then muster_now() end
     from waiting w where t.id = w.id
     returning t.id, t.team_id, t.project_id, t.state`,
    [q.needsId, q.reason, q.limit],
  );

export const lookAtDeadlineAgain = (tx: Sql, taskId: string, seconds: number) =>
  tx.sql(
    `insert into task_due (task_id, kind, at) values ($1, 'deadline', muster_now() + make_interval(secs => $2)) on conflict (task_id, kind) do nothing`,
    [taskId, seconds],
  );
