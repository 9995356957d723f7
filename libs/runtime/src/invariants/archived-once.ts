import type { Invariant } from '#platform/invariants';

/** Nothing is in two places, and nothing that is worked on hangs on what was archived. */
export const archivedOnce: Invariant = {
  name: 'runtime.archived_once',
  promise:
    'A task is where work goes through or in the archive; there it has ended, its key still stands for it, and nothing below it is where work goes through.',
  violations: `
    select a.team_id, a.id as subject, 'is archived and ' || t.state as detail from task_archive a join tasks t on t.id = a.id
    union all
    select team_id, id, 'is archived and has not ended' from task_archive where finished_at is null
    union all
    select a.team_id, c.id, 'is below ' || a.id || ', which is archived' from tasks c join task_archive a on a.id = c.parent_id
    union all
    select a.team_id, a.id, 'is archived, and its idempotency key does not stand for it'
    from task_archive a left join task_archive_keys k on k.team_id = a.team_id and k.idempotency_key = a.idempotency_key
    where a.idempotency_key is not null and k.task_id is distinct from a.id`,
};
