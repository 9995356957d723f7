import type { ForgeRequest } from '@muster/contracts';
import type { Ids, Tx } from '#kernel';
import { isoTime } from '#platform/database';
import type { ForgeRow } from './forge-row.ts';
import { takesRequests } from './request-admission.ts';

/** A row of `forge_requests`, with its forge. */
export interface RequestRow extends ForgeRow {
  readonly request_id: string;
  readonly direction: ForgeRequest['direction'];
  /** Null: it is ours, and not opened yet. */
  readonly number: number | null;
  readonly branch: string;
  readonly task_id: string | null;
  readonly pushed: string | null;
  readonly described: string | null;
  readonly state: ForgeRequest['state'];
  readonly why: string | null;
  readonly submission_id: string | null;
  readonly handed_in: string | null;
  readonly round: number;
  readonly comment_id: string | null;
  readonly comment_said: string | null;
  readonly wanted: number;
  readonly failures: number;
}
export const requestColumns = `r.id as request_id, r.direction, r.number, r.branch, r.task_id, r.pushed, r.described, r.state, r.why, r.submission_id, r.handed_in, r.round, r.comment_id,
  r.comment_said, r.wanted, r.failures`;

export const requestViewColumns = `r.id, r.project_id as "projectId", r.direction, r.number, r.title, r.url, r.author, r.branch, r.head, r.state, r.why,
  r.submission_id as "submissionId", r.task_id as "taskId", r.failures, r.problem, ${isoTime('r.next_action_at', 'nextLookAt')},
  ${isoTime('r.created_at', 'createdAt')}, ${isoTime('r.updated_at', 'updatedAt')}`;

/** Something has happened to it there: it is looked at next. One that nobody knows here is noted only where such are taken. */
export async function noticeRequest(
  tx: Tx,
  ids: Ids,
  forge: Pick<ForgeRow, 'id' | 'project_id' | 'team_id' | 'requests'>,
  number: number,
): Promise<void> {
  if (!takesRequests(forge.requests)) {
    await tx.sql(
      `update forge_requests set wanted = wanted + 1, failures = 0, next_action_at = muster_now() where forge_id = $1 and number = $2`,
      [forge.id, number],
    );
    return;
  }
  await tx.sql(
    `insert into forge_requests as r (id, forge_id, project_id, team_id, number) values ($1, $2, $3, $4, $5)
     on conflict (forge_id, number) do update set wanted = r.wanted + 1, failures = 0, next_action_at = muster_now()`,
    [ids.next('forgeRequest'), forge.id, forge.project_id, forge.team_id, number],
  );
}
