import { CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { SubmissionView } from '@muster/contracts';
import { ReceivePush } from '#messages/integration';
import { FindTask } from '#messages/runtime';
import { Database, violatedConstraint } from '#platform/database';
import { Git, Repositories } from '#platform/git';
import { plainMessage } from '../domain/commit-message.ts';
import { submissionColumns, type SubmissionRow, submissionViewOf } from '../domain/submission.ts';
import { NotFound, UnknownBase, UnknownBranch, UnknownCommit } from '../integration.errors.ts';
import { KeepSubmission } from './keep-submission.ts';

/** Most pushes are a few commits on the head itself, one on another; for others git searches. */
const FEW_COMMITS = 20;

/** A git push to refs/for/<branch> as a submission. The git endpoint has decided already that the pusher may. */
@CommandHandler(ReceivePush)
export class ReceivePushHandler implements ICommandHandler<ReceivePush> {
  constructor(
    private readonly submissions: KeepSubmission,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly git: Git,
    private readonly database: Database,
  ) {}

  async execute({ push }: ReceivePush): Promise<SubmissionView> {
    if (push.task !== null) {
      const submission = await this.submissions.once(push.teamId, push.task, () => this.receive(push));
      if (submission.projectId !== push.projectId) throw new NotFound('task', push.task.taskId);
      return submission;
    }
    if (push.origin !== undefined) return await this.onceFor(push, push.origin);
    return (await this.findOpen(push)) ?? (await this.receive(push));
  }

  /** Also when two ask at the same time: the second finds what the first has made. */
  private async onceFor(push: ReceivePush['push'], origin: string): Promise<SubmissionView> {
    const before = await this.findByOrigin(push, origin);
    if (before !== null) return before;
    try {
      return await this.receive(push);
    } catch (error) {
      const first =
        violatedConstraint(error) === 'submissions_by_origin' ? await this.findByOrigin(push, origin) : null;
      if (first === null) throw error;
      return first;
    }
  }

  private async findByOrigin(
    { teamId, projectId }: ReceivePush['push'],
    origin: string,
  ): Promise<SubmissionView | null> {
    const [row] = await this.database.sql<SubmissionRow>(
      `select ${submissionColumns} from submissions where team_id = $1 and project_id = $2 and origin = $3`,
      [teamId, projectId, origin],
    );
    return row === undefined ? null : submissionViewOf(row);
  }

  private async receive(push: ReceivePush['push']): Promise<SubmissionView> {
    const { teamId, projectId, commit, task } = push;
    const { project, head } = await this.submissions.target(teamId, projectId);
    if (push.branch !== project.branch) throw new UnknownBranch(push.branch, project.branch);
    const agent = task === null ? null : await this.holder(push, task);

    if ((await this.repositories.resolve(projectId, commit)) !== commit) throw new UnknownCommit(commit, head);
    const base = await this.mergeBase(projectId, head, commit);
    if (base === null) throw new UnknownBase(commit, project.branch, head);
    const message = await this.messageOf(projectId, commit);

    return await this.submissions.keep({
      id: this.submissions.newId(),
      teamId,
      projectId,
      task,
      branch: project.branch,
      base,
      commit,
      message: plainMessage(message),
      claim: push.claim?.replaceAll('\0', '') ?? null,
      agent,
      requestedBy: push.pushedBy,
      approvedBy: task === null ? push.person : null,
      origin: push.origin,
    });
  }

  private async holder(
    { teamId, projectId, pushedBy }: ReceivePush['push'],
    task: { taskId: string; fence: number },
  ): Promise<string | null> {
    const found = await this.queries.execute(new FindTask(task.taskId));
    if (found === null || found.teamId !== teamId || found.projectId !== projectId)
      throw new NotFound('task', task.taskId);
    return (await this.submissions.holderOf(teamId, task, pushedBy)).agent;
  }

  private async messageOf(projectId: string, commit: string): Promise<string> {
    const { message } = await this.repositories.commit(projectId, commit);
    if (message !== null) return message;
    // In another encoding, which git knows.
    const args = ['log', '-1', '--format=%B', '--end-of-options', commit];
    return await this.git.text(this.repositories.path(projectId), args);
  }

  /** Where the pushed history left the branch; null when it never was on it. */
  private async mergeBase(projectId: string, head: string, commit: string): Promise<string | null> {
    for (let below: string | undefined = commit, looked = 0; below !== undefined && looked < FEW_COMMITS; looked += 1) {
      if (below === head) return head;
      const { parents } = await this.repositories.commit(projectId, below);
      below = parents.length === 1 ? parents[0] : undefined;
    }
    const { stdout, code } = await this.git.run(this.repositories.path(projectId), ['merge-base', head, commit], {
      ok: [0, 1],
    });
    return code === 0 ? stdout.toString('utf8').trim() : null;
  }

  /** The same commit pushed again while it is on its way is the same submission; a person's word is not a key's, though. */
  private async findOpen(push: ReceivePush['push']): Promise<SubmissionView | null> {
    const [row] = await this.database.sql<SubmissionRow>(
      `select ${submissionColumns} from submissions
       where team_id = $1 and project_id = $2 and branch = $3 and commit = $4 and task_id is null
         and approved_by ->> 'id' is not distinct from $5
         and state in ('received', 'verifying', 'queued', 'landing')
       order by id limit 1`,
      [push.teamId, push.projectId, push.branch, push.commit, push.person?.id ?? null],
    );
    return row === undefined ? null : submissionViewOf(row);
  }
}
