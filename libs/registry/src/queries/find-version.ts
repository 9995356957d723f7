import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { AgentVersionView } from '@muster/contracts';
import { Database } from '#platform/database';
import { Agent } from '../domain/agent.ts';
import { AgentVersion } from '../domain/agent-version.ts';
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
    const em = this.database.em();
    const found = await em.findOne(Agent, { teamId, $or: [{ name: agent }, { id: agent }] });
    if (found === null) throw new AgentUnknown(agent);
    const wanted = version ?? found.latestVersion ?? null;
    const shown = await em.findOne(
      AgentVersion,
      { agentId: found.id, ...(wanted === null ? {} : { version: wanted }) },
      { orderBy: { id: 'desc' } },
    );
    if (shown === null) throw new VersionUnknown(found.name, wanted ?? 'latest');
    return shown.view();
  }
}
