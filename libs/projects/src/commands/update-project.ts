import { LockMode } from '@mikro-orm/postgresql';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { assertIfMatch, etagOf } from '#platform/http';
import { Project } from '../domain/project.ts';
import { ProjectUnknown } from '../projects.errors.ts';

/** Renames a project. */
export class UpdateProject extends Command<void> {
  constructor(
    readonly projectId: string,
    readonly change: { readonly name: string },
    readonly ifMatch: string | undefined,
    readonly by: string,
  ) {
    super();
  }
}

@CommandHandler(UpdateProject)
export class UpdateProjectHandler implements ICommandHandler<UpdateProject> {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async execute({ projectId, change, ifMatch, by }: UpdateProject): Promise<void> {
    await this.database.transaction(async (tx) => {
      const project = await tx.em.findOne(Project, projectId, { lockMode: LockMode.PESSIMISTIC_WRITE });
      if (project === null) throw new ProjectUnknown();
      assertIfMatch(ifMatch, etagOf(project.edition()));
      if (!project.rename(change.name, this.clock.now())) return;
      tx.append({
        type: 'project.renamed',
        teamId: project.teamId,
        projectId,
        subject: projectId,
        data: { projectId, name: change.name, by },
      });
    });
  }
}
