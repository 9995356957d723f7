import type { InstanceView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { instanceViewOf } from '../domain/task-row.ts';
import { listInstances } from '../sql/instances.ts';

/** The team's instances, newest first. */
export class ListInstances extends Query<Page<InstanceView>> {
  constructor(
    readonly teamId: string,
    readonly q: {
      readonly states?: readonly InstanceView['state'][] | undefined;
      readonly agent?: string | undefined;
      readonly limit: number;
      readonly cursor?: string | undefined;
    },
  ) {
    super();
  }
}

@QueryHandler(ListInstances)
export class ListInstancesHandler implements IQueryHandler<ListInstances> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, q }: ListInstances): Promise<Page<InstanceView>> {
    const [beforeId] = q.cursor === undefined ? [null] : decodeCursor(q.cursor, 1).map(String);
    const rows = await listInstances(this.database, {
      teamId,
      states: q.states ?? null,
      agent: q.agent ?? null,
      beforeId: beforeId ?? null,
      limit: q.limit + 1,
    });
    const items = rows.slice(0, q.limit);
    const last = items.at(-1);
    return {
      items: items.map(instanceViewOf),
      nextCursor: rows.length > q.limit && last !== undefined ? encodeCursor([last.id]) : null,
    };
  }
}
