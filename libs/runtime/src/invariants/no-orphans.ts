import type { Invariant } from '#platform/invariants';

/** Nothing is left behind of what is not there. */
export const noOrphans: Invariant = {
  name: 'runtime.no_orphans',
  promise:
    'Every attempt, cost, lease and place in a lane belongs to a task, an attempt, an instance and a lane that exist.',
  violations: `
    select null as team_id, a.id as subject, 'is an attempt of ' || a.task_id || ', which does not exist' as detail
    from attempts_kept a where not exists (select from task_rows_kept t where t.id = a.task_id)
    union all
    select null, c.task_id, 'has a cost under fence ' || c.fence || ', which no attempt of it has'
    from task_costs_kept c where not exists (select from attempts_kept a where a.fence = c.fence and a.task_id = c.task_id)
    union all
    select t.team_id, t.id, 'is leased to ' || r.instance_id || ', which does not exist'
    from task_running r join task_rows_kept t on t.id = r.task_id where not exists (select from instances i where i.id = r.instance_id)
    union all
    select null, r.task_id, 'has a place in lane ' || r.lane || ', and there is no such task or lane'
    from task_ready r where not exists (select from task_rows_kept t where t.id = r.task_id and t.lane = abs(r.lane))
      or not exists (select from task_lanes l where l.id = abs(r.lane))`,
};
