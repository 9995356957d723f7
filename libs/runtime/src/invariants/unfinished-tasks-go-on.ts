import type { Invariant } from '#platform/invariants';

/** Nothing is stuck: whoever acts next on an unfinished task is known from what is stored. */
export const unfinishedTasksGoOn: Invariant = {
  name: 'runtime.unfinished_tasks_go_on',
  promise:
    'Every task that is not finished has a lease with its open attempt, may be claimed, or waits with a reason and a next action.',
  violations: `
    select t.team_id, t.id as subject, case
        when t.state = 'running' and t.lease_until is null then 'runs without a lease'
        when t.state = 'running' then 'runs under fence ' || coalesce(t.fence::text, 'none') || ' without an open attempt of that fence'
        when t.state = 'queued' then 'is queued with a lease or a reason to wait'
        else 'waits for ' || coalesce(t.wait_reason, 'nothing') || ' and nothing says what happens next'
      end as detail
    from tasks t
    where (t.state = 'running' and (t.lease_until is null or not exists (
        select from attempts a where a.task_id = t.id and a.fence = t.fence and a.outcome is null)))
      or (t.state = 'queued' and (t.lease_until is not null or t.wait_reason is not null))
      or (t.state = 'waiting' and case t.wait_reason
        when 'retry' then t.next_action_at is null
        when 'person' then t.wait_detail is null
        else t.wait_ref is null and t.next_action_at is null end is not false)`,
};
