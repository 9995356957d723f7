import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindProject, type ProjectRecord } from '#messages/projects';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { Project } from '../domain/project.ts';

@QueryHandler(FindProject)
export class FindProjectHandler implements IQueryHandler<FindProject> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
  ) {}

  async execute({ projectId }: FindProject): Promise<ProjectRecord | null> {
    const project = await this.database.em().findOne(Project, projectId);
    if (project === null) return null;
    const head = await this.repositories.resolve(project.id, `refs/heads/${project.branch}`);
    return { ...project.view(head), importedHead: project.importedHead };
  }
}
