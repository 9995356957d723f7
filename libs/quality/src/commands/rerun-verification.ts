import type { CheckFacts, RerunAnswer } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Ids, type Tx } from '#kernel';
import { Database } from '#platform/database';
import { NotFound } from '#platform/http';
import { verificationColumns, type VerificationRow, verificationViewOf } from '../domain/verification.ts';
import { CheckUnknown } from '../quality.errors.ts';
import { VerifierTasks } from './verifier-tasks.ts';

/**
 * The same question once more: what could not be run or could not tell, or what somebody names, is looked at anew. What was seen
 * stands otherwise, and asking for it again changes nothing.
 */
export class RerunVerification extends Command<RerunAnswer> {
  constructor(
    readonly verificationId: string,
    /** Empty: those that could not be run or could not tell. */
    readonly checks: readonly string[],
    readonly requestedBy: string,
  ) {
    super();
  }
}

type Decided = { readonly row: VerificationRow } & Omit<RerunAnswer, 'verification'>;

/** What the project itself keeps from being run comes out the same however often it is asked. */
const couldNotTell = ({ status, blocked }: CheckFacts): boolean =>
  status === 'inconclusive' || (status === 'not_run' && blocked === true);

@CommandHandler(RerunVerification)
export class RerunVerificationHandler implements ICommandHandler<RerunVerification> {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly tasks: VerifierTasks,
  ) {}

  async execute({ verificationId, checks, requestedBy }: RerunVerification): Promise<RerunAnswer> {
    const id = this.ids.next('verification');
    const { row, ...answer } = await this.database.transaction((tx) =>
      this.decide(tx, verificationId, { id, checks, requestedBy }),
    );
    // The sweep starts its task if we die here.
    const taskId = row.state !== 'finished' && row.task_id === null ? await this.tasks.start(row) : row.task_id;
    return { ...answer, verification: verificationViewOf({ ...row, task_id: taskId }) };
  }

  private async decide(
    tx: Tx,
    verificationId: string,
    wish: { id: string; checks: readonly string[]; requestedBy: string },
  ): Promise<Decided> {
    const row = await newest(tx, verificationId);
    const stands = (because: string): Decided => ({ row, rerun: false, because, checks: [] });
    if (row.state !== 'finished') return stands('It has not finished yet: what it comes to counts.');
    const ran = row.facts?.checks ?? [];
    const unknown = wish.checks.filter((name) => !ran.some(({ check }) => check === name));
    if (unknown.length > 0 && row.facts !== null)
      throw new CheckUnknown(
        unknown,
        ran.map(({ check }) => check),
      );
    const anew =
      wish.checks.length > 0 ? [...new Set(wish.checks)] : ran.filter(couldNotTell).map(({ check }) => check);
    if (row.facts !== null && anew.length === 0)
      return stands(
        'The same evidence stands: every check of it could be run and could tell. Name the checks that are to be looked at anew.',
      );
    // Its place in line is the new one's; what it came to stays with it.
    await tx.sql(`update verifications set reusable = false, superseded_by = $2 where id = $1 and reusable`, [
      row.id,
      wish.id,
    ]);
    const [made] = await tx.sql<VerificationRow>(
      `insert into verifications (id, team_id, project_id, purpose, subject_id, candidate_tree, base_tree, restores_tree, rules_commit,
         rules_digest, evidence_key, policy, threshold, approved_by, declared, server_policy, agent, agent_version, rerun_of, fresh,
         next_action_at)
       select $2, team_id, project_id, purpose, subject_id, candidate_tree, base_tree, restores_tree, rules_commit, rules_digest,
         evidence_key, policy, threshold, approved_by, declared, server_policy, agent, agent_version, id, $3::jsonb,
         clock_timestamp() + interval '10 seconds'
       from verifications where id = $1
       on conflict do nothing
       returning ${verificationColumns}`,
      [row.id, wish.id, JSON.stringify(anew)],
    );
    if (made === undefined) {
      // Somebody who needed evidence has asked for the same since this one came to none.
      const [asked] = await tx.sql<VerificationRow>(
        `select ${verificationColumns} from verifications where project_id = $1 and evidence_key = $2 and reusable`,
        [row.project_id, row.evidence_key],
      );
      if (asked === undefined) return stands('It is being asked again at this moment.');
      return { row: asked, rerun: false, because: 'The same has been asked again already.', checks: [] };
    }
    tx.append({
      type: 'verification.requested',
      teamId: row.team_id,
      projectId: row.project_id,
      subject: made.id,
      data: {
        verificationId: made.id,
        purpose: row.purpose,
        subjectId: row.subject_id,
        candidateTree: row.candidate_tree,
        rerunOf: row.id,
        checks: anew,
        requestedBy: wish.requestedBy,
      },
    });
    const because =
      row.facts === null
        ? 'It had come to nothing.'
        : wish.checks.length > 0
          ? 'These checks were named.'
          : 'These checks could not be run or could not tell.';
    return { row: made, rerun: true, because, checks: anew };
  }
}

/** Whoever asks twice for the same is shown what the first of them began. */
async function newest(tx: Tx, verificationId: string): Promise<VerificationRow> {
  for (let id = verificationId; ;) {
    const [row] = await tx.sql<VerificationRow>(
      `select ${verificationColumns} from verifications where id = $1 for update`,
      [id],
    );
    if (row === undefined) throw new NotFound();
    const [later] = await tx.sql<{ id: string }>(`select id from verifications where rerun_of = $1`, [id]);
    if (later === undefined) return row;
    id = later.id;
  }
}
