import type { Priority, TaskState, TaskView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { priorityRank, taskViewOf } from '../domain/task-row.ts';
import { listTasks } from '../sql/task-lists.ts';

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

/** Newest first. A page of a filter that few tasks fit may hold fewer than asked for, and a cursor behind which more are looked for. */
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
    const { rows, before } = await listTasks(this.database, {
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
      limit: listing.limit,
    });
    return { items: rows.map(taskViewOf), nextCursor: before === null ? null : encodeCursor([before]) };
  }
}
