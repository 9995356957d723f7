import { CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { CreateSubmission, SubmissionView } from '@muster/contracts';
import { ReceiveSubmission } from '#messages/integration';
import { FindTask } from '#messages/runtime';
import { Clock } from '#kernel';
import { Repositories } from '#platform/git';
import { agentIdentity, MUSTER, plainMessage } from '../domain/commit-message.ts';
import { NotFound, UnknownCommit } from '../integration.errors.ts';
import { KeepSubmission } from './keep-submission.ts';

/** An attempt hands in files, a patch or a commit. Once for each fence: a repeat gets the same submission. */
@CommandHandler(ReceiveSubmission)
export class ReceiveSubmissionHandler implements ICommandHandler<ReceiveSubmission> {
  constructor(
    private readonly submissions: KeepSubmission,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly clock: Clock,
  ) {}

  async execute({ teamId, submission, submittedBy }: ReceiveSubmission): Promise<SubmissionView> {
    const task = await this.queries.execute(new FindTask(submission.taskId));
    if (task === null || task.teamId !== teamId) throw new NotFound('task', submission.taskId);
    return await this.submissions.once(teamId, submission, () =>
      this.receive(teamId, task.projectId, submission, submittedBy),
    );
  }

  private async receive(
    teamId: string,
    projectId: string,
    submission: CreateSubmission,
    submittedBy: string,
  ): Promise<SubmissionView> {
    const { taskId, fence, base } = submission;
    const { agent } = await this.submissions.holderOf(teamId, submission, submittedBy);
    const { project, head } = await this.submissions.target(teamId, projectId);
    await this.submissions.requireBase(projectId, base, project.branch, head);
    const message = plainMessage(submission.message);
    if (submission.commit !== undefined) await this.requireDescendant(projectId, base, submission.commit);
    const commit = submission.commit ?? (await this.commitOn(projectId, submission, message, agent ?? 'unknown'));

    return await this.submissions.keep({
      id: this.submissions.newId(),
      teamId,
      projectId,
      task: { taskId, fence },
      branch: project.branch,
      base,
      commit,
      message,
      claim: submission.claim?.replaceAll('\0', '') ?? null,
      agent,
      requestedBy: submittedBy,
      approvedBy: null,
    });
  }

  private async commitOn(
    projectId: string,
    submission: CreateSubmission,
    message: string,
    agent: string,
  ): Promise<string> {
    const tree =
      submission.files === undefined
        ? await this.repositories.applyPatch(projectId, submission.base, submission.patch ?? '')
        : await this.repositories.applyFiles(projectId, submission.base, submission.files);
    return await this.repositories.commitTree(projectId, {
      tree,
      parents: [submission.base],
      message,
      author: agentIdentity(agent),
      committer: MUSTER,
      date: this.clock.now(),
    });
  }

  private async requireDescendant(projectId: string, base: string, commit: string): Promise<void> {
    const known = await this.repositories.resolve(projectId, commit);
    if (known !== commit || !(await this.repositories.isAncestor(projectId, base, commit)))
      throw new UnknownCommit(commit, base);
  }
}
