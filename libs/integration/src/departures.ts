import { Injectable } from '@nestjs/common';
import type { VerificationView } from '@muster/contracts';
import type { NewEvent } from '#kernel';
import type { Transaction } from '#platform/database';
import { CrashPoints } from './crash-points.ts';
import { refusingChecks } from './domain/lessons.ts';
import { rollbackConflicted, submissionEvent, type SubmissionRow } from './domain/submission.ts';
import { LandingLine } from './landing-line.ts';
import { type Next, Submissions } from './submissions.ts';

/** The ways in which a submission ends without landing. Each is told with its reasons, and with what to do next. */
@Injectable()
export class Departures {
  constructor(
    private readonly submissions: Submissions,
    private readonly line: LandingLine,
    private readonly crash: CrashPoints,
  ) {}

  /** Both sides have changed the same lines: whoever handed it in hears what each of them wrote there. */
  async giveBack(row: SubmissionRow, conflicts: SubmissionRow['conflicts'], unresolved: string | null): Promise<Next> {
    const paths = [...new Set(conflicts.map((hunk) => hunk.path))];
    // Whoever redoes it may learn from it: a generated file that somebody has written in is one to look at.
    const reasons = unresolved === null ? [] : [`No tool could settle the conflict: ${unresolved}`];
    const end = { state: 'conflicted' as const, held: null, conflicts, reasons, wait: 0 };
    const written = await this.submissions.change(row, end, async (tx) => {
      tx.append(submissionEvent(row, 'submission.conflicted', { paths, unresolved }));
      if (row.kind === 'revert') tx.append(rollbackConflicted(row, paths));
      if (row.turn !== null) {
        const nextStep = `Redo it on the head of ${row.branch}, with what both sides wrote in its conflicts, and submit again.`;
        tx.append(await this.ejection(tx, row, { checks: [], paths, log: null, nextStep }));
      }
    });
    this.crash.reach('ejected.recorded');
    return written ? 'again' : 'wait';
  }

  /** It failed on top of what has really landed: it is at fault itself, or together with what landed since it was accepted. */
  async eject(row: SubmissionRow, verification: VerificationView): Promise<Next> {
    const checks = refusingChecks(verification);
    const log = `/api/verifications/${verification.id}`;
    const nextStep = `Fetch ${row.branch}, redo it on its head so that ${checks.join(', ') || 'the gate'} passes there, and submit again.`;
    const head = (row.candidate_head ?? '').slice(0, 12);
    const reasons = [
      `It was accepted, but ${row.branch} has moved on: on top of ${head}, which is what has landed, it is refused${checks.length > 0 ? ` by ${checks.join(', ')}` : ''}.`,
      ...verification.reasons,
      `What was seen: GET ${log}. ${nextStep}`,
    ];
    const written = await this.submissions.change(row, { state: 'rejected', reasons, wait: 0 }, async (tx) => {
      await this.line.resize(tx, row, 'ejected');
      tx.append(
        submissionEvent(row, 'submission.rejected', {
          verificationId: verification.id,
          score: verification.score,
          reasons,
        }),
        await this.ejection(tx, row, { checks, paths: [], log, nextStep }),
      );
    });
    this.crash.reach('ejected.recorded');
    return written ? 'again' : 'wait';
  }

  /** Who had to leave the queue, for which check, where it can be read, and what to do next. */
  private async ejection(
    tx: Transaction,
    row: SubmissionRow,
    why: { checks: readonly string[]; paths: readonly string[]; log: string | null; nextStep: string },
  ): Promise<NewEvent> {
    const since = await tx.sql<{ id: string }>(
      `select id from landings where project_id = $1 and branch = $2 and state in ('landed', 'rolled_back')
         and landed_at >= (select accepted_at from submissions where id = $3)
       order by landed_at, id limit 50`,
      [row.project_id, row.branch, row.id],
    );
    return submissionEvent(row, 'queue.ejected', {
      branch: row.branch,
      culprit: row.id,
      agent: row.agent,
      landedSinceAccepted: since.map(({ id }) => id),
      ...why,
    });
  }

  async end(
    row: SubmissionRow,
    state: 'rejected' | 'failed',
    reasons: readonly string[],
    verification: VerificationView | null = null,
  ): Promise<Next> {
    const written = await this.submissions.change(row, { state, reasons, held: null, wait: 0 }, (tx) => {
      const about = { verificationId: verification?.id ?? null, score: verification?.score ?? null, reasons };
      tx.append(submissionEvent(row, 'submission.rejected', about));
      if (row.turn !== null) tx.append(submissionEvent(row, 'queue.left', { branch: row.branch, reasons }));
    });
    this.crash.reach('ejected.recorded');
    return written ? 'again' : 'wait';
  }

  async refusedByPerson(
    row: SubmissionRow,
    { name, comment }: { name: string; comment: string | null },
  ): Promise<Next> {
    return await this.end(row, 'rejected', [`${name} looked at it and refused it: ${comment ?? ''}`]);
  }
}
