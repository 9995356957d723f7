import { CommandBus, Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { RemoteView } from '@muster/contracts';
import { MusterError } from '#kernel';
import { ReceivePush } from '#messages/integration';
import { FindProject, type ProjectRecord } from '#messages/projects';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Git, GitFailed, Repositories } from '#platform/git';
import { remoteColumns } from '../domain/remote.ts';
import { fetchBranch, headThere, pushBranch, reach, saidBy } from '../domain/remote-transport.ts';
import { NoSuchRemote, ProjectUnknown } from '../projects.errors.ts';

/** How long one try keeps others away; longer than all that git may take. */
const TRY_SECONDS = 1800;
const EVERY_SECONDS = 60;
const MOST_PAUSE_SECONDS = 3600;

/** Looks once whether a remote and the project are in step, and does what is missing. */
export class SyncRemote extends Command<RemoteView> {
  constructor(
    readonly projectId: string,
    readonly direction: RemoteView['direction'],
  ) {
    super();
  }
}
type Outcome = Pick<RemoteView, 'state' | 'commit' | 'submissionId' | 'problem'>;

@CommandHandler(SyncRemote)
export class SyncRemoteHandler implements ICommandHandler<SyncRemote> {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly git: Git,
    private readonly config: Config,
  ) {}

  async execute({ projectId, direction }: SyncRemote): Promise<RemoteView> {
    const [row] = await this.database.sql<RemoteView & { requestedBy: string }>(
      `update project_remotes set next_action_at = muster_now() + make_interval(secs => ${TRY_SECONDS}), tried_at = muster_now()
       where project_id = $1 and direction = $2 returning ${remoteColumns}, requested_by as "requestedBy"`,
      [projectId, direction],
    );
    if (row === undefined) throw new NoSuchRemote(direction);
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null) throw new ProjectUnknown();
    const outcome = await this.tryOnce(project, row);
    return await this.database.transaction(async (tx) => {
      const [written] = await tx.sql<RemoteView>(
        `update project_remotes set state = $3, commit = $4, submission_id = $5, problem = $6,
           in_step_at = case when $3 = 'in_step' then muster_now() else in_step_at end,
           failures = case when $3 = 'in_step' then 0 else failures + 1 end,
           next_action_at = muster_now() + make_interval(secs => case when $3 = 'in_step' then ${EVERY_SECONDS}
             else least(${MOST_PAUSE_SECONDS}, ${EVERY_SECONDS} * power(2, least(failures, 6))) end)
         where project_id = $1 and direction = $2 and url = $7 returning ${remoteColumns}`,
        [projectId, direction, outcome.state, outcome.commit, outcome.submissionId, outcome.problem, row.url],
      );
      // Another address was set meanwhile: it is tried by itself.
      if (written === undefined) return row;
      if (outcome.state !== row.state || outcome.commit !== row.commit) {
        tx.append({
          type: `project.remote_${outcome.state}`,
          teamId: project.teamId,
          projectId,
          subject: projectId,
          priority: outcome.state === 'in_step' ? 'normal' : 'high',
          data: {
            direction,
            url: row.url,
            commit: outcome.commit,
            submissionId: outcome.submissionId,
            problem: outcome.problem,
          },
        });
      }
      return written;
    });
  }

  private async tryOnce(project: ProjectRecord, row: RemoteView & { requestedBy: string }): Promise<Outcome> {
    const { commit, submissionId } = row;
    try {
      return row.direction === 'from' ? await this.take(project, row) : await this.give(project, row);
    } catch (error) {
      if (error instanceof GitFailed) return { state: 'failing', commit, submissionId, problem: saidBy(error) };
      if (error instanceof MusterError && error.status < 500)
        return { state: 'failing', commit, submissionId, problem: error.message };
      throw error;
    }
  }

  /** What is new there is handed in like everybody's change: it is verified, queued and signed, or refused. */
  private async take(project: ProjectRecord, row: RemoteView & { requestedBy: string }): Promise<Outcome> {
    const dir = this.repositories.path(project.id);
    const there = await reach(row.url, this.config);
    const head = await headThere(this.git, dir, there, row.branch);
    if (head === null)
      return {
        ...row,
        state: 'failing',
        problem: `There is no branch ${row.branch}. Name another one, or push it there.`,
      };
    if (head === row.commit) return { ...row, state: 'in_step', problem: null };
    const ref = `refs/muster/remote/${row.branch}`;
    await fetchBranch(this.git, dir, there, row.branch, ref);
    const arrived = await this.repositories.resolve(project.id, ref);
    if (arrived === null) return { ...row, state: 'failing', problem: 'It named a commit and sent none.' };
    if (row.commit !== null && !(await this.repositories.isAncestor(project.id, row.commit, arrived)))
      return { ...row, state: 'diverged', problem: `${row.branch} was rewritten there: ${arrived} does not follow ${row.commit}. Set the remote again to begin anew.` }; // prettier-ignore
    const ours = await this.repositories.resolve(project.id, `refs/heads/${project.branch}`);
    if (ours !== null && (await this.repositories.isAncestor(project.id, arrived, ours)))
      return { state: 'in_step', commit: arrived, submissionId: row.submissionId, problem: null };
    const submission = await this.commands.execute(
      new ReceivePush({
        teamId: project.teamId,
        projectId: project.id,
        branch: project.branch,
        commit: arrived,
        task: null,
        pushedBy: row.requestedBy,
        // Nobody answers for what it changes of the rules: whoever may push there is not known here.
        person: null,
      }),
    );
    return { state: 'in_step', commit: arrived, submissionId: submission.id, problem: null };
  }

  /** What has landed, with its signed statements. Never by force: what somebody else put there stays. */
  private async give(project: ProjectRecord, row: RemoteView): Promise<Outcome> {
    const dir = this.repositories.path(project.id);
    const ours = await this.repositories.resolve(project.id, `refs/heads/${project.branch}`);
    if (ours === null) return { ...row, state: 'in_step', problem: null };
    const there = await reach(row.url, this.config);
    if ((await headThere(this.git, dir, there, row.branch)) === ours)
      return { ...row, state: 'in_step', commit: ours, problem: null };
    const notes = await this.repositories.refs(project.id, 'refs/notes/muster');
    const result = await pushBranch(this.git, dir, there, [
      `${ours}:refs/heads/${row.branch}`,
      ...notes.map(({ ref }) => `+${ref}:${ref}`),
    ]);
    return result.pushed
      ? { ...row, state: 'in_step', commit: ours, problem: null }
      : { ...row, state: 'diverged', problem: `It was refused there: ${result.why}` };
  }
}
