import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindPublishedVersion, type PublishedVersion } from '#messages/registry';
import { Database } from '#platform/database';
import { AgentVersion, highestWithin } from '../domain/agent-version.ts';

@QueryHandler(FindPublishedVersion)
export class FindPublishedVersionHandler implements IQueryHandler<FindPublishedVersion> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, agent, range }: FindPublishedVersion): Promise<PublishedVersion | null> {
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
