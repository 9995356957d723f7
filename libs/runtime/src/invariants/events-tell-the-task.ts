import type { Invariant } from '#platform/invariants';

/** What happened to a task is in the log, once. Tasks from before the oldest event that is kept are not asked about. */
export const eventsTellTheTask: Invariant = {
  name: 'runtime.events_tell_the_task',
  promise: 'Each task has one event that it was created, and one that it ended when it has.',
  violations: `
    with told as (
      select subject, count(*) filter (where type = 'task.created') as created,
        count(*) filter (where type in ('task.succeeded', 'task.failed', 'task.cancelled')) as ended,
        count(*) filter (where type = 'task.succeeded') as succeeded,
        count(*) filter (where type = 'task.started') as started
      from events
      where type in ('task.created', 'task.started', 'task.succeeded', 'task.failed', 'task.cancelled')
      group by subject
    )
    select t.team_id, t.id as subject, 'is ' || t.state || ' after ' || t.attempt || ' attempts: told of ' || coalesce(created, 0) ||
        ' creations, ' || coalesce(started, 0) || ' starts and ' || coalesce(ended, 0) || ' ends' as detail
    from tasks_kept t left join told on told.subject = t.id
    where t.created_at >= coalesce((select time from events order by position limit 1), '-infinity')
      and (coalesce(created, 0) <> 1
        or coalesce(ended, 0) <> case when t.state in ('succeeded', 'failed', 'cancelled') then 1 else 0 end
        or coalesce(succeeded, 0) <> case when t.state = 'succeeded' then 1 else 0 end
        or coalesce(started, 0) <> t.attempt)`,
};
