import type { Invariant } from '#platform/invariants';

/** What lists look for is what is so. */
export const listsTellTheState: Invariant = {
  name: 'runtime.lists_tell_the_state',
  promise: 'A task that failed or was cancelled is in the lists of those, and no other is.',
  violations: `
    select team_id, id as subject, 'is ' || state || ' and listed as ' || coalesce(ended_as, 'nothing') as detail
    from task_rows_kept where ended_as is distinct from case when state in ('failed', 'cancelled') then state end`,
};
