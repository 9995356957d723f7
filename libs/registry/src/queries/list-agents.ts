import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { Agent } from '../domain/agent.ts';

export type AgentView = ReturnType<Agent['view']>;

/** A team's agents by name. `q` looks into names, descriptions and capabilities; `capability` asks for what is published. */
export class ListAgents extends Query<Page<AgentView>> {
  constructor(
    readonly teamId: string,
    readonly page: { readonly limit: number; readonly cursor?: string | undefined },
    readonly filter: { readonly q?: string | undefined; readonly capability?: string | undefined } = {},
  ) {
    super();
  }
}

@QueryHandler(ListAgents)
export class ListAgentsHandler implements IQueryHandler<ListAgents> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, page, filter }: ListAgents): Promise<Page<AgentView>> {
    const params: unknown[] = [teamId, page.limit + 1];
    const where = ['team_id = $1'];
    if (page.cursor !== undefined) where.push(`name > $${params.push(decodeCursor(page.cursor, 1)[0])}`);
    if (filter.capability !== undefined) where.push(`$${params.push(filter.capability)} = any(capabilities)`);
    if (filter.q !== undefined) {
      // position() and not like: what people type is text, never a pattern.
      const q = `lower($${params.push(filter.q)})`;
      where.push(
        `(position(${q} in name) > 0 or position(${q} in lower(coalesce(description, ''))) > 0
          or exists (select from unnest(capabilities) capability where position(${q} in capability) > 0))`,
      );
    }
    const rows = await this.database.sql<{ name: string }>(
      `select * from agents where ${where.join(' and ')} order by name limit $2`,
      params,
    );
    const em = this.database.em();
    const items = rows.slice(0, page.limit);
    const last = items.at(-1);
    return {
      items: items.map((row) => em.map(Agent, row).view()),
      nextCursor: rows.length > items.length && last ? encodeCursor([last.name]) : null,
    };
  }
}
