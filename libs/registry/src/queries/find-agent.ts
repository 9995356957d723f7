import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { Agent } from '../domain/agent.ts';
import { AgentUnknown } from '../registry.errors.ts';
import type { AgentView } from './list-agents.ts';

/** One agent by name or id. */
export class FindAgent extends Query<AgentView> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
  ) {
    super();
  }
}

@QueryHandler(FindAgent)
export class FindAgentHandler implements IQueryHandler<FindAgent> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, agent }: FindAgent): Promise<AgentView> {
    const found = await this.database.em().findOne(Agent, { teamId, $or: [{ name: agent }, { id: agent }] });
    if (found === null) throw new AgentUnknown(agent);
    return found.view();
  }
}
