import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import semver from 'semver';
import { FindTriggers, type PublishedVersion } from '#messages/registry';
import { Database } from '#platform/database';
import { AgentVersion } from '../domain/agent-version.ts';
import { toPublishedVersion } from './find-published-version.ts';

/** Every published version that names the event, by agent, the highest version first. */
@QueryHandler(FindTriggers)
export class FindTriggersHandler implements IQueryHandler<FindTriggers> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, eventType }: FindTriggers): Promise<readonly PublishedVersion[]> {
    const rows = await this.database.sql<{ name: string; version: string }>(
      `select version.* from agent_version_triggers named join agent_versions version on version.id = named.agent_version_id
       where named.team_id = $1 and named.event_type = $2 and version.state = 'published' order by version.name, version.id`,
      [teamId, eventType],
    );
    rows.sort((a, b) => (a.name === b.name ? semver.rcompare(a.version, b.version) : a.name < b.name ? -1 : 1));
    const em = this.database.em();
    return rows.map((row) => toPublishedVersion(em.map(AgentVersion, row)));
  }
}
