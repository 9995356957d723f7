import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { type AgentRow, toAgentView } from '../domain/agent-version.ts';
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
    const [row] = await this.database.sql<AgentRow>(
      `select * from agents where team_id = $1 and (name = $2 or id = $2)`,
      [teamId, agent],
    );
    if (row === undefined) throw new AgentUnknown(agent);
    return toAgentView(row);
  }
}
