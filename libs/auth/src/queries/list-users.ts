import type { UserView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { userColumns, type UserRow, userViewOf } from '../domain/user.ts';

/** The people of a team, or those with a role of their own in one project; the oldest first. */
export class ListUsers extends Query<Page<UserView>> {
  constructor(
    readonly filter: { teamId: string; projectId: string | null; limit: number; cursor?: string | undefined },
  ) {
    super();
  }
}

@QueryHandler(ListUsers)
export class ListUsersHandler implements IQueryHandler<ListUsers> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ListUsers): Promise<Page<UserView>> {
    const [after = null] = filter.cursor === undefined ? [] : decodeCursor(filter.cursor, 1);
    const rows = await this.database.sql<UserRow>(
      `select ${userColumns} from users u
       where u.team_id = $1 and ($2::text is null or u.id > $2)
         and ($3::text is null or exists (select from memberships m where m.user_id = u.id and m.project_id = $3))
       order by u.id limit $4`,
      [filter.teamId, after, filter.projectId, filter.limit + 1],
    );
    const items = rows.slice(0, filter.limit).map(userViewOf);
    const last = items.at(-1);
    return { items, nextCursor: rows.length > filter.limit && last !== undefined ? encodeCursor([last.id]) : null };
  }
}
