import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindAssignedAgents } from '#messages/projects';
import { Database } from '#platform/database';

@QueryHandler(FindAssignedAgents)
export class FindAssignedAgentsHandler implements IQueryHandler<FindAssignedAgents> {
  constructor(private readonly database: Database) {}

  execute({ projectId, capability }: FindAssignedAgents): Promise<Array<{ agent: string; versionRange: string }>> {
    return this.database.sql(
      `select a.agent, a.version_range as "versionRange"
       from project_assignments a join project_assignment_capabilities c on c.assignment_id = a.id
       where a.project_id = $1 and c.capability = $2 order by a.agent`,
      [projectId, capability],
    );
  }
}
