import type { ProjectView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { visibleProjects } from '#platform/http';
import { type ProjectRow, toProjectView } from '../domain/project.ts';

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
    const rows = await this.database.sql<ProjectRow>(
      `select * from projects
       where team_id = $1 and id > $2 and ($3::text[] is null or id = any($3)) and ($4::text is null or slug = $4)
       order by id limit $5`,
      [actor.teamId, after, visible === 'all' ? null : visible, page.slug ?? null, page.limit + 1],
    );
    const items = await Promise.all(
      rows
        .slice(0, page.limit)
        .map(async (row) => toProjectView(row, await this.repositories.resolve(row.id, `refs/heads/${row.branch}`))),
    );
    const last = items.at(-1);
    return { items, nextCursor: rows.length > page.limit && last !== undefined ? encodeCursor([last.id]) : null };
  }
}
