import type { Incident } from '@muster/contracts';
import type { NewEvent, Tx } from '#kernel';
import { incidentColumns, type IncidentRow } from './domain/incident.ts';
import type { LandingRow } from './domain/landing.ts';

export interface NewIncident {
  readonly id: string;
  /** Of one branch, in the order in which they come out. */
  readonly landings: readonly LandingRow[];
  readonly cause: Incident['cause'];
  readonly reason: string;
  readonly requestedBy: string;
  readonly forecast: Incident['forecast'];
}

export async function recordIncident(tx: Tx, wish: NewIncident): Promise<IncidentRow> {
  const [first] = wish.landings;
  const [row] = await tx.sql<IncidentRow>(
    `insert into incidents (id, team_id, project_id, branch, state, cause, reason, requested_by, landings, forecast)
     values ($1, $2, $3, $4, 'open', $5, $6, $7, $8::text[], $9::jsonb) returning ${incidentColumns}`,
    [
      wish.id, first?.team_id, first?.project_id, first?.branch, wish.cause, wish.reason, wish.requestedBy,
      wish.landings.map(({ id }) => id), JSON.stringify(wish.forecast),
    ], // prettier-ignore
  );
  if (row === undefined) throw new Error('An inserted row did not come back.');
  const { conflicts, dependents } = wish.forecast;
  tx.append(
    incidentEvent(row, 'rollback.opened', {
      landings: row.landings,
      cause: row.cause,
      reason: row.reason,
      conflicts,
      dependents: dependents.map(({ landingId }) => landingId),
    }),
  );
  return row;
}

export const incidentEvent = (
  row: IncidentRow,
  type: 'rollback.opened' | 'rollback.revert_handed_in' | 'rollback.waiting' | 'rollback.completed',
  data: Record<string, unknown>,
): NewEvent => ({
  type,
  teamId: row.team_id,
  projectId: row.project_id,
  subject: row.id,
  priority: 'high',
  data: { incidentId: row.id, ...data },
});
