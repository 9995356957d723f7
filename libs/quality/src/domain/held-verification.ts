import type { Tx } from '#kernel';
import type { LeaseGuard } from '#messages/runtime';
import { NotFound } from '#platform/http';
import { AttemptOver } from '../quality.errors.ts';

export interface HeldVerification {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly subject_id: string | null;
  readonly log_position: number;
}

/**
 * The verification for whoever works on it, locked until the transaction ends, under the fence of its task. What an attempt before
 * told is gone: its checks are run again.
 */
export async function holdVerification(
  tx: Tx,
  guard: LeaseGuard,
  verificationId: string,
  fence: number,
): Promise<HeldVerification> {
  const [asked] = await tx.sql<{ task_id: string | null; state: string }>(
    `select task_id, state from verifications where id = $1`,
    [verificationId],
  );
  if (asked === undefined) throw new NotFound();
  if (asked.task_id === null || asked.state === 'finished') throw new AttemptOver(verificationId, fence);
  await guard.hold(tx, asked.task_id, fence);
  const [row] = await tx.sql<HeldVerification & { report_fence: number | null }>(
    `select id, team_id, project_id, subject_id, log_position::int as log_position, report_fence::float8 as report_fence
     from verifications where id = $1 and state <> 'finished' for update`,
    [verificationId],
  );
  if (row === undefined) throw new AttemptOver(verificationId, fence);
  if (row.report_fence === fence) return row;
  await tx.sql(`update verifications set report_fence = $2 where id = $1`, [verificationId, fence]);
  if (row.report_fence !== null) await forgetReports(tx, [verificationId]);
  return row;
}

/** Logs, what is known of checks, and what artefacts there are; the contents of these stay with whoever takes them away. */
export async function forgetReports(tx: Tx, verificationIds: readonly string[]): Promise<void> {
  for (const table of ['verification_logs', 'verification_checks', 'verification_artefacts'])
    await tx.sql(`delete from ${table} where verification_id = any ($1::text[])`, [verificationIds]);
}
