import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { AgentVersionView } from '@muster/contracts';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { AgentVersion } from '../domain/agent-version.ts';
import { AgentUnknown } from '../registry.errors.ts';

/** An agent's versions, the last registered first. */
export class ListVersions extends Query<Page<AgentVersionView>> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
    readonly page: { readonly limit: number; readonly cursor?: string | undefined },
  ) {
    super();
  }
}

@QueryHandler(ListVersions)
export class ListVersionsHandler implements IQueryHandler<ListVersions> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, agent, page }: ListVersions): Promise<Page<AgentVersionView>> {
    const [found] = await this.database.sql<{ id: string }>(
      `select id from agents where team_id = $1 and (name = $2 or id = $2)`,
      [teamId, agent],
    );
    if (found === undefined) throw new AgentUnknown(agent);
    const before = page.cursor === undefined ? null : decodeCursor(page.cursor, 1)[0];
    const rows = await this.database
      .em()
      .find(
        AgentVersion,
        { agentId: found.id, ...(before === null ? {} : { id: { $lt: String(before) } }) },
        { orderBy: { id: 'desc' }, limit: page.limit + 1 },
      );
    const items = rows.slice(0, page.limit);
    const last = items.at(-1);
    return {
      items: items.map((version) => version.view()),
      nextCursor: rows.length > items.length && last ? encodeCursor([last.id]) : null,
    };
  }
}
