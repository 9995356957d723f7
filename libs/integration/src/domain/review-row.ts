import { isoTime } from '#platform/database';

/** A row of `reviews` as the outside sees it. */
export const reviewColumns = `submission_id as "submissionId", user_id as "userId", name, verdict, comment, base_tree as "baseTree", tree,
  ${isoTime('created_at', 'createdAt')}`;
