import type { ApiKeyView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { apiKeyColumns, type ApiKeyRow, apiKeyViewOf } from '../domain/api-key.ts';

/** The newest first; those of the projects that the caller sees. */
export class ListApiKeys extends Query<Page<ApiKeyView>> {
  constructor(
    readonly filter: { teamId: string; visible: string[] | 'all'; limit: number; cursor?: string | undefined },
  ) {
    super();
  }
}

@QueryHandler(ListApiKeys)
export class ListApiKeysHandler implements IQueryHandler<ListApiKeys> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ListApiKeys): Promise<Page<ApiKeyView>> {
    const [before = null] = filter.cursor === undefined ? [] : decodeCursor(filter.cursor, 1);
    const rows = await this.database.sql<ApiKeyRow>(
      `select ${apiKeyColumns} from api_keys
       where team_id = $1 and ($2::text[] is null or project_id = any($2)) and ($3::text is null or id < $3)
       order by id desc limit $4`,
      [filter.teamId, filter.visible === 'all' ? null : filter.visible, before, filter.limit + 1],
    );
    const items = rows.slice(0, filter.limit).map(apiKeyViewOf);
    const last = items.at(-1);
    return { items, nextCursor: rows.length > filter.limit && last !== undefined ? encodeCursor([last.id]) : null };
  }
}
