import { declaredWork, type VerificationView } from '@muster/contracts';
import { CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { Ids } from '#kernel';
import { ReadPolicy } from '#messages/projects';
import { RequestVerification } from '#messages/quality';
import { Database } from '#platform/database';
import { Config } from '#platform/config';
import { evidenceKeyOf, rulesDigestOf, withServerRules } from '../domain/evidence.ts';
import { verificationColumns, type VerificationRow, verificationViewOf } from '../domain/verification.ts';
import { VerifierTasks } from './verifier-tasks.ts';

/** One row for one question, however many ask it at once; the row first, then its task, which the sweep starts if we die between. */
@CommandHandler(RequestVerification)
export class RequestVerificationHandler implements ICommandHandler<RequestVerification> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly ids: Ids,
    private readonly tasks: VerifierTasks,
    private readonly config: Config,
  ) {}

  async execute({ request }: RequestVerification): Promise<VerificationView> {
    const read = await this.queries.execute(new ReadPolicy(request.projectId, request.rulesCommit));
    const policy = withServerRules(read.policy, this.config.gatePolicy);
    const rulesDigest = rulesDigestOf(policy, request, this.config.gatePolicy);
    const { seed: _secret, ...serverPolicy } = this.config.gatePolicy;
    const key = evidenceKeyOf(request, rulesDigest);
    const id = this.ids.next('verification');
    // Again only when the row that was in the way ended without evidence between the two statements.
    for (let round = 0; round < 3; round++) {
      const made = await this.database.transaction(async (tx) => {
        const [row] = await tx.sql<VerificationRow>(
          `insert into verifications (id, team_id, project_id, purpose, subject_id, candidate_tree, base_tree, restores_tree, rules_commit,
             rules_digest, evidence_key, policy, threshold, approved_by, declared, server_policy, agent, agent_version, next_action_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13, $14, $15::jsonb, $16::jsonb, $17, $18,
             clock_timestamp() + interval '10 seconds')
           on conflict (project_id, evidence_key) where reusable do nothing
           returning ${verificationColumns}`,
          [
            id,
            request.teamId,
            request.projectId,
            request.purpose,
            request.subjectId,
            request.candidateTree,
            request.baseTree,
            request.restoresTree,
            request.rulesCommit,
            rulesDigest,
            key,
            JSON.stringify(policy),
            policy.threshold,
            request.approvedBy,
            JSON.stringify(request.declared ?? declaredWork.parse({})),
            JSON.stringify(serverPolicy),
            request.author?.agent ?? null,
            request.author?.version ?? null,
          ],
        );
        if (row !== undefined) {
          tx.append({
            type: 'verification.requested',
            teamId: request.teamId,
            projectId: request.projectId,
            subject: id,
            data: {
              verificationId: id,
              purpose: request.purpose,
              subjectId: request.subjectId,
              candidateTree: request.candidateTree,
            },
          });
        }
        return row;
      });
      const row = made ?? (await this.existing(request.projectId, key));
      if (row === undefined) continue;
      if (row.state === 'finished' || row.task_id !== null) return verificationViewOf(row);
      return verificationViewOf({ ...row, task_id: await this.tasks.start(row) });
    }
    throw new Error('A verification was neither made nor found.');
  }

  private async existing(projectId: string, key: string): Promise<VerificationRow | undefined> {
    const [row] = await this.database.sql<VerificationRow>(
      `select ${verificationColumns} from verifications where project_id = $1 and evidence_key = $2 and reusable`,
      [projectId, key],
    );
    return row;
  }
}
