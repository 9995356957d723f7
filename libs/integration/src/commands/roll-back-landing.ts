import { CommandBus, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Incident, SubmissionView } from '@muster/contracts';
import { RollBackLanding } from '#messages/integration';
import { Clock, Ids } from '#kernel';
import { Database, type Transaction, violatedConstraint } from '#platform/database';
import { NOTHING, Repositories } from '#platform/git';
import { CrashPoints } from '../crash-points.ts';
import { MUSTER, plainMessage, subjectOf } from '../domain/commit-message.ts';
import { incidentColumns, type IncidentRow } from '../domain/incident.ts';
import { landingColumns, type LandingRow } from '../domain/landing.ts';
import {
  rollbackConflicted,
  submissionColumns,
  submissionRef,
  type SubmissionRow,
  submissionViewOf,
} from '../domain/submission.ts';
import { NotFound, NothingToRevert, NotLanded } from '../integration.errors.ts';
import { incidentEvent, recordIncident } from '../incidents.ts';
import { RollbackOutlook } from '../outlook.ts';
import { RollBackSet } from './roll-back-set.ts';
import { dropRefOfRefused, insertSubmission, receivedEvent } from './keep-submission.ts';

/** Who asks for a rollback by rule. */
export const POST_LANDING_CHECK = 'post-landing check';

/**
 * Takes a landing back by a change like any other: a submission of kind `revert` that goes through the gate and the queue.
 * Asked again while one is on its way, the answer is that one.
 */
@CommandHandler(RollBackLanding)
export class RollBackLandingHandler implements ICommandHandler<RollBackLanding> {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly repositories: Repositories,
    private readonly ids: Ids,
    private readonly clock: Clock,
    private readonly outlook: RollbackOutlook,
    private readonly crash: CrashPoints,
  ) {}

  async execute({ landingId, reason, requestedBy, incidentId }: RollBackLanding): Promise<SubmissionView> {
    const [landing] = await this.database.sql<LandingRow>(`select ${landingColumns} from landings where id = $1`, [
      landingId,
    ]);
    if (landing === undefined) throw new NotFound('landing', landingId);
    if (landing.state !== 'landed') throw new NotLanded(landingId, landing.state);
    const open = await this.findOpen(landingId);
    if (open !== null) return open;
    if (landing.set_id !== null && (await this.landedTogether(landing))) {
      await this.commands.execute(new RollBackSet(landing.set_id, reason, requestedBy));
      const made = await this.findOpen(landingId);
      if (made === null) throw new NothingToRevert(landingId);
      return made;
    }

    const { project_id: projectId } = landing;
    const head = await this.repositories.resolve(projectId, `refs/heads/${landing.branch}`);
    if (head === null) throw new NotLanded(landingId, 'no longer on its branch');
    const reverted = await this.repositories.revertTree(projectId, head, landing.commit, landing.before);
    const headTree = await this.repositories.treeOf(projectId, head);
    if (reverted.clean && reverted.tree === headTree) throw new NothingToRevert(landingId);

    const message = [
      `Revert "${subjectOf(landing.message)}"`,
      '',
      `This takes back ${landing.commit} (${landing.id}).`,
      '',
      plainMessage(reason),
    ].join('\n');
    const id = this.ids.next('submission');
    // A revert that conflicts is kept as what it would go on top of, so that a person finds it where all submissions are.
    const commit = reverted.clean
      ? await this.repositories.commitTree(projectId, {
          tree: reverted.tree,
          parents: [head],
          message,
          author: MUSTER,
          committer: MUSTER,
          date: this.clock.now(),
        })
      : head;
    const forecast = incidentId === null ? this.outlook.kept(await this.outlook.of([landing], head)) : null;
    const restoresTree = await this.repositories.treeOf(projectId, landing.before);
    this.crash.reach('rollback.revert_made');
    await this.repositories.updateRef(projectId, submissionRef(id), commit, NOTHING);
    this.crash.reach('rollback.ref_kept');
    try {
      const view = await this.database.transaction(async (tx) => {
        const row = await insertSubmission(tx, {
          id,
          teamId: landing.team_id,
          projectId,
          task: null,
          branch: landing.branch,
          base: head,
          commit,
          message,
          claim: null,
          agent: null,
          requestedBy,
          approvedBy: null,
          kind: 'revert',
          tree: reverted.clean ? reverted.tree : headTree,
          revertsLandingId: landing.id,
          restoresTree,
          ...(reverted.clean ? {} : { state: 'conflicted' as const, conflicts: reverted.conflicts, reasons: [reason] }),
        });
        tx.append(receivedEvent(row));
        await this.tie(tx, { row, landing, incidentId, reason, requestedBy, forecast });
        if (!reverted.clean)
          tx.append(rollbackConflicted(row, [...new Set(reverted.conflicts.map((hunk) => hunk.path))]));
        return submissionViewOf(row);
      });
      this.crash.reach('rollback.recorded');
      return view;
    } catch (error) {
      await dropRefOfRefused(this.database, this.repositories, { id, projectId }, error);
      const first = violatedConstraint(error) === 'submissions_one_open_revert' ? await this.findOpen(landingId) : null;
      if (first === null) throw error;
      return first;
    }
  }

  /** Its set is whole, and nobody has begun to take that back: then all of it comes out. */
  private async landedTogether({ id, set_id: setId }: LandingRow): Promise<boolean> {
    const [whole] = await this.database.sql(
      `select from landing_sets s where s.id = $1 and s.state = 'landed' and not exists (
         select from landing_set_members m join landing_sets r on r.id = m.set_id
         where m.reverts_landing_id = $2 and r.state not in ('landed', 'failed', 'rolled_back'))`,
      [setId, id],
    );
    return whole !== undefined;
  }

  /** The revert is part of an incident: the one that asked for it, the one that this landing is in already, or a new one. */
  private async tie(
    tx: Transaction,
    about: {
      readonly row: SubmissionRow;
      readonly landing: LandingRow;
      readonly incidentId: string | null;
      readonly reason: string;
      readonly requestedBy: string;
      readonly forecast: Incident['forecast'] | null;
    },
  ): Promise<void> {
    const { row, landing, reason, requestedBy, forecast } = about;
    const [known] = await tx.sql<IncidentRow>(
      `update incidents set state = 'open', step = step + 1, next_action_at = muster_now()
       where id = (select id from incidents
                   where ($1::text is null or id = $1) and landings @> array[$2]::text[] and state <> 'resolved' order by id limit 1)
       returning ${incidentColumns}`,
      [about.incidentId, landing.id],
    );
    const incident =
      known ??
      (forecast === null
        ? null
        : await recordIncident(tx, {
            id: this.ids.next('incident'),
            landings: [landing],
            cause: requestedBy === POST_LANDING_CHECK ? 'post_landing_check' : 'person',
            reason,
            requestedBy,
            forecast,
          }));
    if (incident === null) return;
    await tx.sql(`update submissions set incident_id = $2 where id = $1`, [row.id, incident.id]);
    tx.append(
      incidentEvent(incident, 'rollback.revert_handed_in', {
        landingId: landing.id,
        submissionId: row.id,
        state: row.state,
      }),
    );
  }

  private async findOpen(landingId: string): Promise<SubmissionView | null> {
    const [row] = await this.database.sql<SubmissionRow>(
      `select ${submissionColumns} from submissions
       where reverts_landing_id = $1 and state not in ('rejected', 'conflicted', 'failed') order by id limit 1`,
      [landingId],
    );
    return row === undefined ? null : submissionViewOf(row);
  }
}
