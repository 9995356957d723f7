import type { SupervisedView } from '@muster/contracts';

/** A row of `supervised_instances`. */
export interface SupervisedRow {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string | null;
  readonly server_id: string;
  readonly agent: string;
  readonly agent_version: string;
  readonly name: string | null;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly restarts: number;
  readonly started_by: string;
  readonly desired: SupervisedView['desired'];
  readonly stop_grace_seconds: number | null;
  readonly state: SupervisedView['state'];
  readonly reason: string | null;
  readonly failures: number;
  readonly starts: number;
  readonly next_start_at: Date | null;
  readonly key_id: string | null;
  readonly mark: string | null;
  readonly pid: number | null;
  readonly pid_started_ticks: number | null;
  readonly boot_id: string | null;
  readonly process_started_at: Date | null;
  readonly created_at: Date;
}

export const supervisedViewOf = (row: SupervisedRow): SupervisedView => ({
  id: row.id,
  teamId: row.team_id,
  agent: row.agent,
  version: row.agent_version,
  name: row.name,
  projectId: row.project_id,
  command: [...row.command],
  desired: row.desired,
  state: row.state,
  reason: row.reason,
  pid: row.pid,
  starts: row.starts,
  failures: row.failures,
  nextStartAt: row.next_start_at?.toISOString() ?? null,
  processStartedAt: row.process_started_at?.toISOString() ?? null,
  createdAt: row.created_at.toISOString(),
});
