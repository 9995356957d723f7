import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ForgeRequest } from '@muster/contracts';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { requestViewColumns } from '../domain/request-row.ts';

/** The newest first. */
export class ListRequests extends Query<Page<ForgeRequest>> {
  constructor(
    readonly projectId: string,
    readonly page: {
      readonly limit: number;
      readonly cursor?: string | undefined;
      readonly state?: ForgeRequest['state'] | undefined;
    },
  ) {
    super();
  }
}

@QueryHandler(ListRequests)
export class ListRequestsHandler implements IQueryHandler<ListRequests> {
  constructor(private readonly database: Database) {}

  async execute({ projectId, page: { limit, cursor, state } }: ListRequests): Promise<Page<ForgeRequest>> {
    const rows = await this.database.sql<ForgeRequest>(
      `select ${requestViewColumns} from forge_requests r
       where r.project_id = $1 and ($2::text is null or r.id < $2 collate "C") and ($4::text is null or r.state = $4)
       order by r.id desc limit $3`,
      [projectId, cursor === undefined ? null : String(decodeCursor(cursor, 1)[0]), limit + 1, state ?? null],
    );
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    return { items, nextCursor: rows.length > limit && last !== undefined ? encodeCursor([last.id]) : null };
  }
}
