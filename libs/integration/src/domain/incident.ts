import type { Incident } from '@muster/contracts';

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

const iso = (column: string): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as ${column}`;

export const incidentColumns = `
  id, team_id, project_id, branch, state, cause, reason, requested_by, landings, skipped, forecast, step,
  next_action_at is not null as pending, ${iso('opened_at')}, ${iso('resolved_at')}`;
