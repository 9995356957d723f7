import { LockMode } from '@mikro-orm/postgresql';
import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { FindProjectOperations } from '#messages/runtime';
import { Database } from '#platform/database';
import { Packing, Repositories } from '#platform/git';
import { Project } from '../domain/project.ts';
import { OpenWork, ProjectUnknown } from '../projects.errors.ts';

/** Deletes a project on which nobody works any more, with its repository. Tasks and events keep telling what was. */
export class DeleteProject extends Command<void> {
  constructor(
    readonly projectId: string,
    readonly by: string,
  ) {
    super();
  }
}

@CommandHandler(DeleteProject)
export class DeleteProjectHandler implements ICommandHandler<DeleteProject> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly packing: Packing,
  ) {}

  async execute({ projectId, by }: DeleteProject): Promise<void> {
    const { openTasks } = await this.queries.execute(new FindProjectOperations(projectId, 1));
    const open = openTasks.reduce((sum, { count }) => sum + count, 0);
    if (open > 0) throw new OpenWork(open);
    await this.database.transaction(async (tx) => {
      const project = await tx.em.findOne(Project, projectId, { lockMode: LockMode.PESSIMISTIC_WRITE });
      if (project === null) throw new ProjectUnknown();
      tx.em.remove(project);
      tx.append({
        type: 'project.deleted',
        teamId: project.teamId,
        projectId,
        subject: projectId,
        data: { projectId, slug: project.slug, by },
      });
    });
    await this.packing.stop(projectId);
    await this.repositories.remove(projectId);
  }
}
