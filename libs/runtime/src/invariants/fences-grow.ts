import type { Invariant } from '#platform/invariants';

/** A later attempt always carries a higher fence: that is what refuses the earlier ones. */
export const fencesGrow: Invariant = {
  name: 'runtime.fences_grow',
  promise:
    'Each attempt has a fence of its own that is higher than those of the attempts before it, and the task knows the highest.',
  violations: `
    select team_id, task_id as subject, 'attempt ' || number || ' has fence ' || fence || ' after ' || before as detail
    from (select team_id, task_id, number, fence, lag(fence) over (partition by task_id order by number) as before from attempts) as placed
    where fence <= before
    union all
    select min(team_id), 'fence ' || fence, 'belongs to ' || count(*) || ' attempts' from attempts group by fence having count(*) > 1
    union all
    select t.team_id, t.id, 'knows fence ' || coalesce(t.fence::text, 'none') || ', and its newest attempt has ' || newest.fence
    from tasks t join (select task_id, max(fence) as fence from attempts group by task_id) as newest on newest.task_id = t.id
    where t.fence is distinct from newest.fence`,
};
