import type { Finding, Rework, VerificationView } from '@muster/contracts';
import type { SubmissionRow } from './submission.ts';

/** More than this teaches nobody anything, and the assignment has to fit into a frame. */
const MOST_FINDINGS = 200;

const weight = (finding: Finding): number => (finding.veto ? 0 : finding.level === 'error' ? 1 : 2);

/** What refused the change, the weightiest first: vetoes, then errors; warnings only where there is nothing worse. */
export function tellingFindings(verification: VerificationView | null): Finding[] {
  const all = (verification?.facts?.checks ?? []).flatMap((check) => check.findings);
  const grave = all.filter((finding) => finding.veto || finding.level === 'error');
  return (grave.length > 0 ? grave : all.filter((finding) => finding.level === 'warning'))
    .toSorted((a, b) => weight(a) - weight(b))
    .slice(0, MOST_FINDINGS);
}

/** The checks that refuse it, by name: those with a veto or an error, or that failed. */
export const refusingChecks = (verification: VerificationView): string[] =>
  (verification.facts?.checks ?? [])
    .filter(
      ({ status, findings }) => status === 'failed' || findings.some(({ veto, level }) => veto || level === 'error'),
    )
    .map(({ check }) => check);

/** What the task's next attempt is told about a submission that did not go in. */
export function reworkOf(row: SubmissionRow, verification: VerificationView | null): Omit<Rework, 'round'> {
  // Accepted once and refused now: it left the queue, where it was refused at admission otherwise.
  const refused = row.turn === null ? 'rejected' : 'ejected';
  const reason = row.state === 'conflicted' ? 'conflicted' : refused;
  const paths = [...new Set(row.conflicts.map((hunk) => hunk.path))];
  const conflict = `It conflicts with what landed on ${row.branch} in the meantime, in ${paths.join(', ')}.`;
  return {
    submissionId: row.id,
    reason,
    summary: [...(row.state === 'conflicted' ? [conflict] : []), ...row.reasons].join('\n') || conflict,
    findings: tellingFindings(verification),
    conflicts: row.conflicts,
    commit: row.commit,
  };
}
