import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { WebhookView } from '@muster/contracts';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database, isoTime } from '#platform/database';

/** What the forge has sent, the newest first. */
export class ListWebhooks extends Query<Page<WebhookView>> {
  constructor(
    readonly projectId: string,
    readonly page: { readonly limit: number; readonly cursor?: string | undefined },
  ) {
    super();
  }
}

@QueryHandler(ListWebhooks)
export class ListWebhooksHandler implements IQueryHandler<ListWebhooks> {
  constructor(private readonly database: Database) {}

  async execute({ projectId, page: { limit, cursor } }: ListWebhooks): Promise<Page<WebhookView>> {
    const rows = await this.database.sql<WebhookView>(
      `select w.id, w.delivery, w.event, w.outcome, w.branch, w.commit, w.request, ${isoTime('w.received_at', 'receivedAt')}
       from forge_webhooks w join forges on forges.id = w.forge_id
       where forges.project_id = $1 and ($2::text is null or w.id < $2 collate "C") order by w.id desc limit $3`,
      [projectId, cursor === undefined ? null : String(decodeCursor(cursor, 1)[0]), limit + 1],
    );
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    return { items, nextCursor: rows.length > limit && last !== undefined ? encodeCursor([last.id]) : null };
  }
}
