import type { Invariant } from '#platform/invariants';

/** Nothing is left behind of what is not there. */
export const noOrphans: Invariant = {
  name: 'runtime.no_orphans',
  promise: 'Every attempt, cost and lease belongs to a task, an attempt and an instance that exist.',
  violations: `
    select a.team_id, a.id as subject, 'is an attempt of ' || a.task_id || ', which does not exist' as detail
    from attempts a where not exists (select from tasks t where t.id = a.task_id)
    union all
    select null, c.task_id, 'has a cost under fence ' || c.fence || ', which no attempt of it has'
    from task_costs c where not exists (select from attempts a where a.fence = c.fence and a.task_id = c.task_id)
    union all
    select t.team_id, t.id, 'is leased to ' || coalesce(t.instance_id, 'nobody') || ', which does not exist'
    from tasks t where t.state = 'running' and not exists (select from instances i where i.id = t.instance_id)`,
};
