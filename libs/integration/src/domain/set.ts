import type { SetView } from '@muster/contracts';
import { isoTime } from '#platform/database';

/** A row of `landing_sets`. */
export interface SetRow {
  readonly id: string;
  readonly team_id: string;
  readonly title: string;
  readonly kind: 'change' | 'revert';
  readonly state: SetView['state'];
  readonly reverts_set_id: string | null;
  readonly requested_by: string;
  readonly reasons: string[];
  readonly created_at: string;
  readonly settled_at: string | null;
}
/** Where a project's part of a set stands: the newest that was handed in for it. */
export interface MemberRow {
  readonly project_id: string;
  readonly task_id: string | null;
  readonly reverts_landing_id: string | null;
  readonly submission_id: string | null;
}

export const setColumns = `id, team_id, title, kind, state, reverts_set_id, requested_by, reasons, ${isoTime('created_at')}, ${isoTime('settled_at')}`;

/** The members of the set `m.set_id`, each with its newest submission. */
export const memberSubmission = `(
  select s.id from submissions s
  where s.project_id = m.project_id
    and (s.id = m.submission_id or s.task_id = m.task_id or s.reverts_landing_id = m.reverts_landing_id)
  order by s.id desc limit 1)`;

/**
 * Kept in a project's repository as long as a set may still move its branch. The branch moves only together with a look at this ref, and
 * whoever undoes takes it away together with the move back: a process that was asleep meanwhile moves nothing any more.
 */
export const setRef = (landingId: string): string => `refs/muster/sets/${landingId}`;
