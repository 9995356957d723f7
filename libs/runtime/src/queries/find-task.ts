import type { TaskView } from '@muster/contracts';
import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { taskViewOf } from '../domain/task-row.ts';
import { taskById } from '../sql/tasks.ts';

@QueryHandler(FindTask)
export class FindTaskHandler implements IQueryHandler<FindTask> {
  constructor(private readonly database: Database) {}

  async execute({ taskId }: FindTask): Promise<TaskView | null> {
    const row = await taskById(this.database, taskId);
    return row === null ? null : taskViewOf(row);
  }
}
