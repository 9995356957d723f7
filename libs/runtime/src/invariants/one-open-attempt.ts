import type { Invariant } from '#platform/invariants';

/** Whoever works on a task does so alone, and only while the task runs. */
export const oneOpenAttempt: Invariant = {
  name: 'runtime.one_open_attempt',
  promise: 'A task has an open attempt while it runs, exactly one, and none otherwise.',
  violations: `
    select t.team_id, t.id as subject, 'is ' || t.state || ' and has ' || count(*) || ' open attempts' as detail
    from attempts a join tasks t on t.id = a.task_id
    where a.outcome is null
    group by t.team_id, t.id, t.state having count(*) > 1 or t.state <> 'running'`,
};
