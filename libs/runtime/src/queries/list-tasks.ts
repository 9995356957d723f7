import type { Priority, TaskState, TaskView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { priorityRank, taskViewOf } from '../domain/task-row.ts';
import { listTasks } from '../sql/tasks.ts';

export interface TaskListing {
  readonly teamId: string;
  readonly projectIds: readonly string[] | 'all';
  readonly states?: readonly TaskState[] | undefined;
  readonly capability?: string | undefined;
  readonly parentId?: string | undefined;
  readonly agent?: string | undefined;
  readonly priorities?: readonly Priority[] | undefined;
  readonly createdAfter?: string | undefined;
  readonly createdBefore?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Newest first. */
export class ListTasks extends Query<Page<TaskView>> {
  constructor(readonly listing: TaskListing) {
    super();
  }
}

@QueryHandler(ListTasks)
export class ListTasksHandler implements IQueryHandler<ListTasks> {
  constructor(private readonly database: Database) {}

  async execute({ listing }: ListTasks): Promise<Page<TaskView>> {
    const [beforeId] = listing.cursor === undefined ? [null] : decodeCursor(listing.cursor, 1).map(String);
    const rows = await listTasks(this.database, {
      teamId: listing.teamId,
      projectIds: listing.projectIds === 'all' ? null : listing.projectIds,
      states: listing.states ?? null,
      capability: listing.capability ?? null,
      parentId: listing.parentId ?? null,
      agent: listing.agent ?? null,
      priorities: listing.priorities?.map(priorityRank) ?? null,
      createdAfter: listing.createdAfter ?? null,
      createdBefore: listing.createdBefore ?? null,
      beforeId: beforeId ?? null,
      limit: listing.limit + 1,
    });
    const items = rows.slice(0, listing.limit);
    const last = items.at(-1);
    return {
      items: items.map(taskViewOf),
      nextCursor: rows.length > listing.limit && last !== undefined ? encodeCursor([last.id]) : null,
    };
  }
}
