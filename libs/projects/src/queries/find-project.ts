import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindProject, type ProjectRecord } from '#messages/projects';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { type ProjectRow, toProjectView } from '../domain/project.ts';

@QueryHandler(FindProject)
export class FindProjectHandler implements IQueryHandler<FindProject> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
  ) {}

  async execute({ projectId }: FindProject): Promise<ProjectRecord | null> {
    const [row] = await this.database.sql<ProjectRow>('select * from projects where id = $1', [projectId]);
    if (row === undefined) return null;
    const head = await this.repositories.resolve(row.id, `refs/heads/${row.branch}`);
    return { ...toProjectView(row, head), importedHead: row.imported_head };
  }
}
