import type { Invariant } from '#platform/invariants';

/** A later attempt always carries a higher fence: that is what refuses the earlier ones. */
export const fencesGrow: Invariant = {
  name: 'runtime.fences_grow',
  promise:
    'Each attempt has a fence of its own that is higher than those of the attempts before it, and the open one has the highest.',
  violations: `
    select t.team_id, a.task_id as subject, 'attempt ' || a.number || ' has fence ' || a.fence || ' after ' || a.before as detail
    from (select task_id, number, fence, lag(fence) over (partition by task_id order by number) as before from attempts_kept) as a
    join task_rows_kept t on t.id = a.task_id
    where a.fence <= a.before
    union all
    select min(t.team_id), 'fence ' || a.fence, 'belongs to ' || count(*) || ' attempts'
    from attempts_kept a join task_rows_kept t on t.id = a.task_id group by a.fence having count(*) > 1
    union all
    select t.team_id, t.id, 'counts ' || t.attempt || ' attempts and has ' || count(a.fence)
    from tasks_kept t left join attempts_kept a on a.task_id = t.id group by t.team_id, t.id, t.attempt having t.attempt <> count(a.fence)`,
};
