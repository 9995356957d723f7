import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindAssignedAgents } from '#messages/projects';
import { type Cache, Caches } from '#platform/caching';
import { Database } from '#platform/database';

type Assigned = ReadonlyArray<{ agent: string; versionRange: string }>;

@QueryHandler(FindAssignedAgents)
export class FindAssignedAgentsHandler implements IQueryHandler<FindAssignedAgents> {
  private readonly known: Cache<Assigned>;

  constructor(database: Database, caches: Caches) {
    this.known = caches.make({
      forgetOn: ['assignment.changed', 'project.deleted'],
      read: (key) =>
        database.hot<Assigned[number]>(
          'assigned agents',
          `select a.agent, a.version_range as "versionRange"
           from project_assignments a join project_assignment_capabilities c on c.assignment_id = a.id
           where a.project_id = $1 and c.capability = $2 order by a.agent`,
          key.split(' '),
        ),
      keep: (assigned) => assigned.length > 0,
    });
  }

  /** Ids and capabilities have no spaces. */
  execute({ projectId, capability }: FindAssignedAgents): Promise<Assigned> {
    return this.known.get(`${projectId} ${capability}`);
  }
}
