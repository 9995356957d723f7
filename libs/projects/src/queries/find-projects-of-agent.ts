import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindProjectsOfAgent } from '#messages/projects';
import { Database } from '#platform/database';

@QueryHandler(FindProjectsOfAgent)
export class FindProjectsOfAgentHandler implements IQueryHandler<FindProjectsOfAgent> {
  constructor(private readonly database: Database) {}

  execute(query: FindProjectsOfAgent): Promise<Array<{ projectId: string; versionRange: string }>> {
    return this.database.sql(
      `select a.project_id as "projectId", a.version_range as "versionRange"
       from project_assignments a join project_assignment_capabilities c on c.assignment_id = a.id
       where a.team_id = $1 and a.agent = $2 and c.capability = $3 order by a.project_id`,
      [query.teamId, query.agent, query.capability],
    );
  }
}
