import { isoTime } from '#platform/database';

/** A row of `project_remotes` as the outside sees it. */
export const remoteColumns = `project_id as "projectId", direction, url, branch, state, commit, submission_id as "submissionId", problem,
  ${isoTime('tried_at', 'triedAt')}, ${isoTime('in_step_at', 'inStepAt')}`;
