import type { VerificationView } from '@muster/contracts';
import { Command, CommandBus, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { FindProject } from '#messages/projects';
import { RequestVerification } from '#messages/quality';
import { NotFound } from '#platform/http';
import { Repositories } from '#platform/git';
import { NothingToVerify } from '../quality.errors.ts';

/** What the branch is worth by itself: shows what fails there already, which is charged to nobody. */
export class VerifyHead extends Command<VerificationView> {
  constructor(readonly projectId: string) {
    super();
  }
}

@CommandHandler(VerifyHead)
export class VerifyHeadHandler implements ICommandHandler<VerifyHead> {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
  ) {}

  async execute({ projectId }: VerifyHead): Promise<VerificationView> {
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null) throw new NotFound();
    if (project.head === null) throw new NothingToVerify();
    return this.commands.execute(
      new RequestVerification({
        teamId: project.teamId,
        projectId,
        purpose: 'base',
        subjectId: null,
        candidateTree: await this.repositories.treeOf(projectId, project.head),
        baseTree: null,
        restoresTree: null,
        rulesCommit: project.head,
        approvedBy: null,
      }),
    );
  }
}
