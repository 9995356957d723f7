import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindProjectTeam } from '#messages/projects';
import { type Cache, Caches } from '#platform/caching';
import { Database } from '#platform/database';

@QueryHandler(FindProjectTeam)
export class FindProjectTeamHandler implements IQueryHandler<FindProjectTeam> {
  private readonly known: Cache<string | null>;

  constructor(database: Database, caches: Caches) {
    this.known = caches.make({
      forgetOn: ['project.deleted'],
      read: async (projectId) => {
        const [project] = await database.hot<{ team_id: string }>(
          'team of a project',
          `select team_id from projects where id = $1`,
          [projectId],
        );
        return project?.team_id ?? null;
      },
      keep: (teamId) => teamId !== null,
    });
  }

  execute({ projectId }: FindProjectTeam): Promise<string | null> {
    return this.known.get(projectId);
  }
}
