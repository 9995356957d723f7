import type { VerificationFacts } from '@muster/contracts';
import type { Tx } from '#kernel';
import type { VerificationRow } from '../domain/verification.ts';

/** More than a check of ours tells; an operator's own is cut. */
const mostMetrics = 100;

/** One small row for each check, written with the verdict: trends do not read megabytes of facts. */
export async function keepCheckResults(tx: Tx, row: VerificationRow, { checks }: VerificationFacts): Promise<void> {
  const results = checks.map(({ check, status, findings, ms, metrics }) => ({
    name: check,
    status,
    errors: findings.filter(({ level, veto }) => veto || level === 'error').length,
    warnings: findings.filter(({ level, veto }) => !veto && level === 'warning').length,
    ms,
    metrics: Object.fromEntries(Object.entries(metrics).slice(0, mostMetrics)),
  }));
  await tx.sql(
    `insert into check_results (verification_id, name, team_id, project_id, purpose, agent, agent_version, status, errors, warnings, ms, metrics,
       finished_at)
     select $1, c.name, $2, $3, $4, $5, $6, c.status, c.errors, c.warnings, c.ms, c.metrics, clock_timestamp()
     from jsonb_to_recordset($7::jsonb) as c (name text, status text, errors int, warnings int, ms double precision, metrics jsonb)
     on conflict do nothing`,
    [row.id, row.team_id, row.project_id, row.purpose, row.agent, row.agent_version, JSON.stringify(results)],
  );
}
