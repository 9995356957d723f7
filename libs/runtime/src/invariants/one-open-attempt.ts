import type { Invariant } from '#platform/invariants';

/** Whoever works on a task does so alone, and nobody is offered what somebody else may still do. */
export const oneOpenAttempt: Invariant = {
  name: 'runtime.one_open_attempt',
  promise:
    'A task has at most one open attempt, and none when it does not run; it is claimable at most once, and while it runs only after its lease ran out.',
  violations: `
    select t.team_id, t.id as subject, 'is ' || t.state || ' and has an open attempt' as detail
    from task_running r join tasks t on t.id = r.task_id where t.state <> 'open'
    union all
    select t.team_id, t.id, 'is ' || t.state || ' and claimable at ' || q.lane || '/' || q.seq
    from task_ready q join tasks t on t.id = q.task_id where t.state <> 'open'
    union all
    select min(t.team_id), q.task_id, 'is claimable at ' || count(*) || ' places'
    from task_ready q join tasks t on t.id = q.task_id group by q.task_id having count(*) > 1
    union all
    select t.team_id, t.id, 'runs under fence ' || r.fence || ' and is claimable at ' || q.lane || '/' || q.seq || ' beside that'
    from task_running r join task_ready q on q.task_id = r.task_id join tasks t on t.id = r.task_id
    where q.expired_fence is distinct from r.fence or q.lane <> -r.lane or q.seq is distinct from r.ready_seq or not r.expiry_told
    union all
    select t.team_id, t.id, 'is offered as expired under fence ' || q.expired_fence || ', which is not open'
    from task_ready q join tasks t on t.id = q.task_id
    where q.expired_fence is not null and not exists (select from task_running r where r.task_id = q.task_id and r.fence = q.expired_fence)`,
};
