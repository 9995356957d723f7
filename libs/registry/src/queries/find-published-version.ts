import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindPublishedVersion, type PublishedVersion } from '#messages/registry';
import { type Cache, Caches } from '#platform/caching';
import { Database } from '#platform/database';
import { AgentVersion, highestWithin } from '../domain/agent-version.ts';

@QueryHandler(FindPublishedVersion)
export class FindPublishedVersionHandler implements IQueryHandler<FindPublishedVersion> {
  private readonly known: Cache<PublishedVersion | null>;

  constructor(
    private readonly database: Database,
    caches: Caches,
  ) {
    this.known = caches.make({
      forgetOn: ['agent.published', 'agent.deprecated', 'agent.deleted'],
      read: (key) => this.read(...(JSON.parse(key) as [teamId: string, agent: string, range: string])),
      keep: (version) => version !== null,
    });
  }

  execute({ teamId, agent, range }: FindPublishedVersion): Promise<PublishedVersion | null> {
    return this.known.get(JSON.stringify([teamId, agent, range]));
  }

  private async read(teamId: string, agent: string, range: string): Promise<PublishedVersion | null> {
    const published = await this.database.sql<{ version: string }>(
      `select version from agent_versions where team_id = $1 and name = $2 and state = 'published'`,
      [teamId, agent],
    );
    const version = highestWithin(
      published.map((row) => row.version),
      range,
    );
    if (version === null) return null;
    const found = await this.database.em().findOne(AgentVersion, { teamId, name: agent, version, state: 'published' });
    return found === null ? null : toPublishedVersion(found);
  }
}

export const toPublishedVersion = (version: AgentVersion): PublishedVersion => ({
  agentId: version.agentId,
  agentVersionId: version.id,
  name: version.name,
  version: version.version,
  definition: version.content(),
});
