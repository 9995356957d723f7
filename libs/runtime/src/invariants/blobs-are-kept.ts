import type { Invariant } from '#platform/invariants';

/** What tasks refer to is there for as long as they are. */
export const blobsAreKept: Invariant = {
  name: 'runtime.blobs_are_kept',
  promise: 'Every content that a task refers to is noted as used by it, and is kept.',
  violations: `
    with referring as (
      select team_id, project_id, id, substr(ref, 13) as digest
      from task_rows_kept, unnest(array[input ->> '$ref', case when jsonb_typeof(output) = 'object' then output ->> '$ref' end]) as ref
      where ref like 'blob:sha256:%'
    )
    select r.team_id, r.id as subject, 'refers to ' || r.digest || ', which is ' ||
        case when b.digest is null then 'not kept' else 'not noted as used' end as detail
    from referring r
      left join task_blobs b on b.project_id = r.project_id and b.digest = r.digest
      left join task_blob_uses u on u.task_id = r.id and u.digest = r.digest
    where b.digest is null or u.digest is null`,
};
