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

/** What the task's next attempt is told about a submission that did not go in. */
export function reworkOf(row: SubmissionRow, verification: VerificationView | null): Omit<Rework, 'round'> {
  const reason = row.state === 'conflicted' ? 'conflicted' : row.state === 'rejected' ? 'rejected' : 'ejected';
  const paths = [...new Set(row.conflicts.map((hunk) => hunk.path))];
  return {
    submissionId: row.id,
    reason,
    summary:
      row.reasons.length > 0
        ? row.reasons.join('\n')
        : `It conflicts with what landed on ${row.branch} in the meantime, in ${paths.join(', ')}.`,
    findings: reason === 'rejected' ? tellingFindings(verification) : [],
    conflicts: row.conflicts,
    commit: row.commit,
  };
}
