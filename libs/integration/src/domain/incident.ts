import type { Incident } from '@muster/contracts';
import { isoTime } from '#platform/database';

export interface IncidentRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly branch: string;
  readonly state: Incident['state'];
  readonly cause: Incident['cause'];
  readonly reason: string;
  readonly requested_by: string;
  /** In the order in which they come out. */
  readonly landings: readonly string[];
  /** Of which nothing was left on the branch. */
  readonly skipped: readonly string[];
  readonly forecast: Incident['forecast'];
  readonly step: number;
  /** False when nothing is owed any more. */
  readonly pending: boolean;
  readonly opened_at: string;
  readonly resolved_at: string | null;
}

export const incidentColumns = `
  id, team_id, project_id, branch, state, cause, reason, requested_by, landings, skipped, forecast, step,
  next_action_at is not null as pending, ${isoTime('opened_at')}, ${isoTime('resolved_at')}`;
