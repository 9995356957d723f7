import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { AgentVersionView } from '@muster/contracts';
import { Database } from '#platform/database';
import { type AgentRow, type AgentVersionRow, toVersionView } from '../domain/agent-version.ts';
import { AgentUnknown, VersionUnknown } from '../registry.errors.ts';

/** One version of an agent; without `version` the highest published one, or, before there is one, the newest draft. */
export class FindVersion extends Query<AgentVersionView> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
    readonly version: string | null,
  ) {
    super();
  }
}

@QueryHandler(FindVersion)
export class FindVersionHandler implements IQueryHandler<FindVersion> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, agent, version }: FindVersion): Promise<AgentVersionView> {
    const [found] = await this.database.sql<AgentRow>(
      `select * from agents where team_id = $1 and (name = $2 or id = $2)`,
      [teamId, agent],
    );
    if (found === undefined) throw new AgentUnknown(agent);
    const wanted = version ?? found.latest_version;
    const [row] = await this.database.sql<AgentVersionRow>(
      `select * from agent_versions where agent_id = $1 and ($2::text is null or version = $2) order by id desc limit 1`,
      [found.id, wanted],
    );
    if (row === undefined) throw new VersionUnknown(found.name, wanted ?? 'latest');
    return toVersionView(row);
  }
}
