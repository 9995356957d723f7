import type { ProjectView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { visibleProjects } from '#platform/http';
import { Project } from '../domain/project.ts';

/** The projects that the actor may see, oldest first. */
export class ListProjects extends Query<Page<ProjectView>> {
  constructor(
    readonly actor: Actor,
    readonly page: { readonly limit: number; readonly cursor?: string | undefined; readonly slug?: string | undefined },
  ) {
    super();
  }
}

@QueryHandler(ListProjects)
export class ListProjectsHandler implements IQueryHandler<ListProjects> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
  ) {}

  async execute({ actor, page }: ListProjects): Promise<Page<ProjectView>> {
    const visible = visibleProjects(actor, 'project.read');
    const after = page.cursor === undefined ? '' : String(decodeCursor(page.cursor, 1)[0]);
    const projects = await this.database.em().find(
      Project,
      {
        teamId: actor.teamId,
        id: { $gt: after, ...(visible === 'all' ? {} : { $in: visible }) },
        ...(page.slug === undefined ? {} : { slug: page.slug }),
      },
      { orderBy: { id: 'asc' }, limit: page.limit + 1 },
    );
    const items = await Promise.all(
      projects
        .slice(0, page.limit)
        .map(async (project) =>
          project.view(await this.repositories.resolve(project.id, `refs/heads/${project.branch}`)),
        ),
    );
    const last = items.at(-1);
    return { items, nextCursor: projects.length > page.limit && last !== undefined ? encodeCursor([last.id]) : null };
  }
}
