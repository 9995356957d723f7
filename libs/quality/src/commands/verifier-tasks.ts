import { Injectable } from '@nestjs/common';
import type { VerifyInput } from '@muster/contracts';
import { CommandBus } from '@nestjs/cqrs';
import { StartTask, VERIFY_CAPABILITY, type NewTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { Config } from '#platform/config';
import { drawOf } from '../domain/evidence.ts';
import type { VerificationRow } from '../domain/verification.ts';

/** What is bad leaves first, and work that began is finished before more is begun: others wait behind a landing, nobody behind an admission. */
const urgencyOf: Record<VerificationRow['purpose'], NonNullable<NewTask['priority']>> = {
  revert: 'critical',
  landing: 'high',
  post_landing: 'high',
  base: 'high',
  admission: 'normal',
};

/** Hands a verification to whoever verifies. Its id is the task's key, so that asking twice makes one task. */
@Injectable()
export class VerifierTasks {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly config: Config,
  ) {}

  async start(row: VerificationRow): Promise<string> {
    const input: VerifyInput = {
      verificationId: row.id,
      purpose: row.purpose,
      candidateTree: row.candidate_tree,
      baseTree: row.base_tree,
      restoresTree: row.restores_tree,
      policy: row.policy,
      rulesDigest: row.rules_digest,
      approvedBy: row.approved_by,
      declared: row.declared,
      server: row.server_policy,
      draw: drawOf(this.config.gatePolicy, row.evidence_key),
      fresh: row.fresh,
    };
    const task = await this.commands.execute(
      new StartTask({
        teamId: row.team_id,
        projectId: row.project_id,
        capability: VERIFY_CAPABILITY,
        title: `Verify ${row.candidate_tree.slice(0, 12)} (${row.purpose.replace('_', ' ')})`,
        input: JSON.parse(JSON.stringify(input)) as NonNullable<NewTask['input']>,
        priority: urgencyOf[row.purpose],
        idempotencyKey: row.id,
        requestedBy: row.subject_id ?? row.id,
      }),
    );
    await this.database.sql(`update verifications set task_id = $2 where id = $1 and task_id is null`, [
      row.id,
      task.id,
    ]);
    return task.id;
  }
}
