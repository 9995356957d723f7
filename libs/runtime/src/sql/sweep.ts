import type { Tx } from '#kernel';
import type { InstanceLimits, InstanceRow, TaskRow } from '../domain/task-row.ts';

type Sql = Pick<Tx, 'sql'>;

/** Rows of one kind that one pass takes; the rest waits for the next pass, a second later. */
export const sweepLimit = 500;

export const requeueDue = (tx: Sql): Promise<TaskRow[]> =>
  tx.sql<TaskRow>(
    `update tasks set state = 'queued', wait_reason = null, wait_ref = null, wait_detail = null, next_action_at = null, updated_at = muster_now()
     where id in (
       select id from tasks where state = 'waiting' and wait_reason = 'retry' and next_action_at <= muster_now()
       order by next_action_at limit ${sweepLimit} for update skip locked)
     returning *`,
  );

/**
 * Says once that a lease ran out. The row stays as it is: it is claimable from now on, and until somebody claims it the
 * late holder may still finish.
 */
export const noticeExpired = (tx: Sql): Promise<TaskRow[]> =>
  tx.sql<TaskRow>(
    `update tasks set expiry_told = true
     where id in (
       select id from tasks where state = 'running' and lease_until < muster_now() and not expiry_told
       order by lease_until limit ${sweepLimit} for update skip locked)
     returning *`,
  );

/** Expired for a whole further lease with no attempt left: nobody will claim these. */
export const lockExhausted = (tx: Sql, leaseSeconds: number): Promise<TaskRow[]> =>
  tx.sql<TaskRow>(
    `select * from tasks
     where state = 'running' and failures + 1 >= max_attempts and lease_until < muster_now() - make_interval(secs => $1)
     order by lease_until limit ${sweepLimit} for update skip locked`,
    [leaseSeconds],
  );

/** Attempts that take longer than their agent's definition allows, however alive they are. */
export const lockOverdue = (tx: Sql): Promise<(TaskRow & { limits: InstanceLimits | null })[]> =>
  tx.sql(
    `select t.*, (select i.limits from instances i where i.id = t.instance_id) as limits from tasks t
     where t.state = 'running' and t.deadline_at < muster_now() and t.lease_until >= muster_now()
     order by t.deadline_at limit ${sweepLimit} for update of t skip locked`,
  );

/** Waited long enough for an instance that has not failed them. */
export const lockUnwanted = (tx: Sql): Promise<TaskRow[]> =>
  tx.sql<TaskRow>(
    `select * from tasks where state = 'queued' and avoid_then_person and avoid_until <= muster_now()
     order by avoid_until limit ${sweepLimit} for update skip locked`,
  );

export const markSilentOffline = (tx: Sql, offlineAfterSeconds: number): Promise<InstanceRow[]> =>
  tx.sql<InstanceRow>(
    `update instances set state = 'offline'
     where id in (
       select id from instances where state <> 'offline' and last_seen_at < muster_now() - make_interval(secs => $1)
       order by last_seen_at limit ${sweepLimit} for update skip locked)
     returning *`,
    [offlineAfterSeconds],
  );
