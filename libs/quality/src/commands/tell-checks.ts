import type { CheckEnded, CheckFacts } from '@muster/contracts';
import type { Tx } from '#kernel';

interface About {
  readonly id: string;
  readonly team_id: string;
  readonly project_id: string;
  readonly subject_id: string | null;
}

/** Each check of an attempt ends once and is told once, whether the verifier said so at the time or its answer says so at last. */
export async function tellChecks(tx: Tx, about: About, ended: readonly CheckEnded[]): Promise<void> {
  if (ended.length === 0) return;
  const told = await tx.sql<{ name: string }>(
    `insert into verification_checks as c (verification_id, name, category, status, summary, ms, reused)
     select $1, e."check", e.category, e.status, e.summary, e.ms, e.reused
     from jsonb_to_recordset($2::jsonb) as e("check" text, category text, status text, summary text, ms double precision, reused boolean)
     on conflict (verification_id, name) do update set category = excluded.category, status = excluded.status,
       summary = excluded.summary, ms = excluded.ms, reused = excluded.reused
     where c.status is null
     returning name`,
    [about.id, JSON.stringify([...new Map(ended.map((each) => [each.check, each])).values()])],
  );
  const news = new Set(told.map(({ name }) => name));
  for (const { check, category, status, summary, errors, warnings, ms, reused } of ended)
    if (news.delete(check))
      tx.append({
        type: 'check.finished',
        teamId: about.team_id,
        projectId: about.project_id,
        subject: about.id,
        data: {
          verificationId: about.id,
          subjectId: about.subject_id,
          ...{ check, category, status, summary, errors, warnings, ms, reused },
        },
      });
}

/** What is told of a check when it has ended. */
export const endedOf = ({ check, category, status, summary, findings, ms, reused }: CheckFacts): CheckEnded => ({
  ...{ check, category, status, summary, ms },
  errors: findings.filter(({ level, veto }) => veto || level === 'error').length,
  warnings: findings.filter(({ level, veto }) => !veto && level === 'warning').length,
  reused: reused != null,
});
