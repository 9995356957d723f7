const iso = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** A row of `project_remotes` as the outside sees it. */
export const remoteColumns = `project_id as "projectId", direction, url, branch, state, commit, submission_id as "submissionId", problem,
  ${iso('tried_at')} as "triedAt", ${iso('in_step_at')} as "inStepAt"`;
