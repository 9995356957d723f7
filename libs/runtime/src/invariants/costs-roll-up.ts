import type { Invariant } from '#platform/invariants';

/** Every reported cost is counted once at its attempt, its task and everything above. */
export const costsRollUp: Invariant = {
  name: 'runtime.costs_roll_up',
  promise: 'A task costs what was reported for it and for its children; an attempt costs what it reported.',
  violations: `
    select t.team_id, t.id as subject, 'own cost is ' || t.own_cost_usd || ', and ' || coalesce(c.usd, 0) || ' was reported' as detail
    from task_rows_kept t left join (select task_id, sum(usd) as usd from task_costs_kept group by task_id) c on c.task_id = t.id
    where t.own_cost_usd <> coalesce(c.usd, 0)
    union all
    select t.team_id, t.id, 'costs ' || t.cost_usd || ', and with its children it is ' || t.own_cost_usd + coalesce(below.usd, 0)
    from task_rows_kept t left join (select parent_id, sum(cost_usd) as usd from task_rows_kept where parent_id is not null group by parent_id) below on below.parent_id = t.id
    where t.cost_usd <> t.own_cost_usd + coalesce(below.usd, 0)
    union all
    select t.team_id, a.task_id, 'attempt ' || a.number || ' costs ' || a.cost_usd || ', and ' || coalesce(c.usd, 0) || ' was reported under its fence'
    from attempts_kept a join task_rows_kept t on t.id = a.task_id left join (select fence, sum(usd) as usd from task_costs_kept group by fence) c on c.fence = a.fence
    where a.cost_usd <> coalesce(c.usd, 0)`,
};
