import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindPeopleBehind, type PersonBehind } from '#messages/auth';
import { Database } from '#platform/database';

@QueryHandler(FindPeopleBehind)
export class FindPeopleBehindHandler implements IQueryHandler<FindPeopleBehind> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, projectId, actorIds }: FindPeopleBehind): Promise<ReadonlyMap<string, PersonBehind>> {
    const rows = await this.database.sql<PersonBehind & { actorId: string }>(
      `select a.id as "actorId", u.id as "userId", u.name, u.email,
         (select m.role from memberships m
          where m.user_id = u.id and m.team_id = u.team_id and (m.project_id = $2 or m.project_id is null)
          order by array_position(array['owner', 'maintainer', 'developer', 'viewer', 'agent'], m.role) limit 1) as role
       from (select id, user_id from api_keys where id = any($3::text[]) union all select id, id from users where id = any($3::text[])) a
       join users u on u.id = a.user_id
       where u.team_id = $1`,
      [teamId, projectId, actorIds],
    );
    return new Map(rows.map(({ actorId, ...person }) => [actorId, person]));
  }
}
