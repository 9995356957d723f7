import type { Invariant } from '#platform/invariants';

/** At most one result of a task is ever accepted. */
export const acceptedOnce: Invariant = {
  name: 'runtime.accepted_once',
  promise:
    'A succeeded task has exactly one accepted attempt, and an attempt is accepted only of a task that succeeded.',
  violations: `
    select t.team_id, t.id as subject, 'is ' || t.state || ' with ' || coalesce(a.completed, 0) || ' completed attempts' ||
        case when t.submission_id is null then '' else ' and a submission' end as detail
    from task_rows_kept t left join (
      select task_id, count(*) filter (where outcome = 'completed') as completed from attempt_rows_kept group by task_id
    ) a on a.task_id = t.id
    where (t.state = 'succeeded' and coalesce(a.completed, 0) <> case when t.submission_id is null then 1 else 0 end)
      or (t.state <> 'succeeded' and a.completed > 0)`,
};
