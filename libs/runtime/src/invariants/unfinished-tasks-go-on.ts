import type { Invariant } from '#platform/invariants';

/** Nothing is stuck: whoever acts next on an unfinished task is known from what is stored. */
export const unfinishedTasksGoOn: Invariant = {
  name: 'runtime.unfinished_tasks_go_on',
  promise:
    'Every task that is not finished has a lease with its open attempt, may be claimed at its place in a lane, or waits with a reason and a next action.',
  violations: `
    select t.team_id, t.id as subject, case
        when t.state = 'open' and t.wait_reason is not null then 'is open with a reason to wait'
        when t.state = 'open' and exists (select from task_running r where r.task_id = t.id) then 'lost its lease, and nobody may claim it'
        when t.state = 'open' then 'is open and neither leased, claimable nor due'
        else 'waits for ' || coalesce(t.wait_reason, 'nothing') || ' and nothing says what happens next'
      end as detail
    from tasks t
    where (t.state = 'open' and (t.wait_reason is not null or not (
        exists (select from task_running r where r.task_id = t.id)
        or exists (select from task_ready q where q.lane in (t.lane, -t.lane) and q.seq = t.ready_seq and q.task_id = t.id)
        or exists (select from task_due d where d.task_id = t.id and d.kind = 'delay'))))
      or (t.state = 'open' and exists (select from task_running r where r.task_id = t.id and r.expiry_told
        and not exists (select from task_ready q where q.task_id = t.id and q.expired_fence = r.fence)
        and not exists (select from task_due d where d.task_id = t.id and d.kind = 'exhausted')))
      or (t.state = 'waiting' and case t.wait_reason
        when 'retry' then t.next_action_at is null or not exists (select from task_due d where d.task_id = t.id and d.kind = 'retry' and d.at <= t.next_action_at)
        when 'person' then t.wait_detail is null
        when 'dependency' then not exists (
          select from task_dependencies d join tasks n on n.id = d.needs_id
          where d.task_id = t.id and not d.met and n.has_dependants
            and (n.finished_at is null or exists (select from task_due u where u.task_id = n.id and u.kind = 'dependants')))
        else t.wait_ref is null and t.next_action_at is null end is not false)`,
};
