import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindProject, type ProjectRecord } from '#messages/projects';
import { type Cache, Caches } from '#platform/caching';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { Project } from '../domain/project.ts';

@QueryHandler(FindProject)
export class FindProjectHandler implements IQueryHandler<FindProject> {
  private readonly known: Cache<Project | null>;

  constructor(
    database: Database,
    private readonly repositories: Repositories,
    caches: Caches,
  ) {
    this.known = caches.make({
      forgetOn: ['project.renamed', 'project.deleted'],
      read: (projectId) => database.em().findOne(Project, projectId),
      keep: (project) => project !== null,
    });
  }

  /** Where the branch stands is asked each time: landings move it. */
  async execute({ projectId }: FindProject): Promise<ProjectRecord | null> {
    const project = await this.known.get(projectId);
    if (project === null) return null;
    const head = await this.repositories.resolve(project.id, `refs/heads/${project.branch}`);
    return { ...project.view(head), importedHead: project.importedHead };
  }
}
