import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { agentDefinition } from '@muster/contracts';
import { FindPublishedVersion, type PublishedVersion } from '#messages/registry';
import { Database } from '#platform/database';
import { type AgentVersionRow, highestWithin } from '../domain/agent-version.ts';

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
    const [row] = await this.database.sql<AgentVersionRow>(
      `select * from agent_versions where team_id = $1 and name = $2 and version = $3 and state = 'published'`,
      [teamId, agent, version],
    );
    return row === undefined ? null : toPublishedVersion(row);
  }
}

export const toPublishedVersion = (row: AgentVersionRow): PublishedVersion => ({
  agentId: row.agent_id,
  agentVersionId: row.id,
  name: row.name,
  version: row.version,
  definition: agentDefinition.parse(row.definition),
});
