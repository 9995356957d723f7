import { Injectable } from '@nestjs/common';
import type { TaskView } from '@muster/contracts';
import { QueryBus } from '@nestjs/cqrs';
import { FindTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { outcomeOf, type Outcome, unverified } from '../domain/verdict.ts';
import { verificationColumns, type VerificationRow } from '../domain/verification.ts';
import { keepCheckResults } from './keep-check-results.ts';
import { endedOf, tellChecks } from './tell-checks.ts';
import { told } from '../metrics.ts';
import { VerifierTasks } from './verifier-tasks.ts';

/** Brings one verification as far as its task is. Idempotent: the first outcome stays. */
@Injectable()
export class SettleVerification {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly tasks: VerifierTasks,
  ) {}

  async run(verificationId: string): Promise<void> {
    const [row] = await this.database.sql<VerificationRow>(
      `select ${verificationColumns} from verifications where id = $1 and state <> 'finished'`,
      [verificationId],
    );
    if (row === undefined) return;
    const taskId = row.task_id ?? (await this.tasks.start(row));
    const task = await this.queries.execute(new FindTask(taskId));
    const outcome = task === null ? unverified('its task is gone') : this.outcomeOf(row, task);
    if (outcome !== null) await this.finish(row, outcome);
  }

  /** Null while the task goes on. */
  private outcomeOf(row: VerificationRow, task: TaskView): Outcome | null {
    switch (task.state) {
      case 'queued':
      case 'running':
      case 'waiting':
        return null;
      case 'failed':
        return unverified(task.error ?? 'the verifier failed');
      case 'cancelled':
        return unverified('its task was cancelled');
      case 'succeeded': {
        const { purpose, candidate_tree: candidateTree, base_tree: baseTree, rules_digest: rulesDigest, policy } = row;
        return outcomeOf({ purpose, candidateTree, baseTree, rulesDigest, policy }, task.output);
      }
    }
  }

  private async finish(row: VerificationRow, outcome: Outcome): Promise<void> {
    const { verdict, score, reasons, lost, breaches, facts, evidence } = outcome;
    const finished = await this.database.transaction(async (tx) => {
      const [after] = await tx.sql<{ seconds: number }>(
        `update verifications set state = 'finished', verdict = $2, score = $3, reasons = $4::jsonb, lost = $5::jsonb, facts = $6::jsonb,
           reusable = $7, breaches = $8::jsonb, finished_at = clock_timestamp(), next_action_at = null
         where id = $1 and state <> 'finished'
         returning extract(epoch from finished_at - created_at)::double precision as seconds`,
        [
          row.id,
          verdict,
          score,
          JSON.stringify(reasons),
          JSON.stringify(lost),
          facts && JSON.stringify(facts),
          evidence,
          JSON.stringify(breaches),
        ],
      );
      if (after === undefined) return null;
      if (facts !== null) {
        await keepCheckResults(tx, row, facts);
        await tellChecks(tx, row, facts.checks.map(endedOf));
      }
      if (breaches.length > 0)
        tx.append({
          type: 'enforcer.breached',
          teamId: row.team_id,
          projectId: row.project_id,
          subject: row.subject_id ?? row.id,
          data: {
            verificationId: row.id,
            subjectId: row.subject_id,
            agent: row.agent,
            onBreach: row.policy.enforcer.onBreach,
            breaches: breaches.map(({ rule, message }) => ({ rule, message })),
          },
        });
      tx.append({
        type: 'verification.finished',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: row.id,
        priority: 'high',
        data: {
          verificationId: row.id,
          purpose: row.purpose,
          subjectId: row.subject_id,
          verdict,
          evidence,
          score,
          candidateTree: row.candidate_tree,
        },
      });
      return after;
    });
    if (finished !== null) told(row.purpose, verdict, facts !== null, finished.seconds);
  }
}
