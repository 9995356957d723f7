/** A row of `reviews` as the outside sees it. */
export const reviewColumns = `submission_id as "submissionId", user_id as "userId", name, verdict, comment, base_tree as "baseTree", tree,
  to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "createdAt"`;
