import type { Operation, TaskState } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { FindProjectOperations } from '#messages/runtime';
import { Database } from '#platform/database';
import type { TaskRow } from '../domain/task-row.ts';
import { anyTask, listTasks } from '../sql/task-lists.ts';
import { openByCapability } from '../sql/tasks.ts';

const operationOf = (row: TaskRow): Operation => ({
  taskId: row.id,
  capability: row.capability,
  title: row.title,
  state: row.state,
  agent: row.agent,
  createdAt: row.created_at.toISOString(),
  finishedAt: row.finished_at?.toISOString() ?? null,
});

/** A project's tasks as its page shows them, newest first. */
export class ListOperations extends Query<Page<Operation>> {
  constructor(
    readonly projectId: string,
    readonly q: {
      readonly states?: readonly TaskState[] | undefined;
      readonly limit: number;
      readonly cursor?: string | undefined;
    },
  ) {
    super();
  }
}

@QueryHandler(ListOperations)
export class ListOperationsHandler implements IQueryHandler<ListOperations> {
  constructor(private readonly database: Database) {}

  async execute({ projectId, q }: ListOperations): Promise<Page<Operation>> {
    const [beforeId] = q.cursor === undefined ? [null] : decodeCursor(q.cursor, 1).map(String);
    const { rows, before } = await listTasks(this.database, {
      ...anyTask,
      teamId: null,
      projectIds: [projectId],
      states: q.states ?? null,
      beforeId: beforeId ?? null,
      limit: q.limit,
    });
    return { items: rows.map(operationOf), nextCursor: before === null ? null : encodeCursor([before]) };
  }
}

@QueryHandler(FindProjectOperations)
export class FindProjectOperationsHandler implements IQueryHandler<FindProjectOperations> {
  constructor(private readonly database: Database) {}

  async execute({
    projectId,
    limit,
  }: FindProjectOperations): Promise<{ operations: Operation[]; openTasks: { capability: string; count: number }[] }> {
    const [{ rows }, openTasks] = await Promise.all([
      listTasks(this.database, { ...anyTask, teamId: null, projectIds: [projectId], beforeId: null, limit }),
      openByCapability(this.database, projectId),
    ]);
    return { operations: rows.map(operationOf), openTasks };
  }
}
