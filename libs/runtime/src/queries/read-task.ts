import type { TaskDetail } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { attemptViewOf, taskViewOf } from '../domain/task-row.ts';
import { TaskUnknown } from '../runtime.errors.ts';
import { termsOf } from '../sql/task-terms.ts';
import { attemptsOf, taskById } from '../sql/tasks.ts';

/** A task with its attempts, newest first. */
export class ReadTask extends Query<TaskDetail> {
  constructor(readonly taskId: string) {
    super();
  }
}

@QueryHandler(ReadTask)
export class ReadTaskHandler implements IQueryHandler<ReadTask> {
  constructor(private readonly database: Database) {}

  async execute({ taskId }: ReadTask): Promise<TaskDetail> {
    // One moment: a task that has ended is not shown with an attempt that has not.
    const { row, attempts, deadlineAt, dependsOn } = await this.database.snapshot(async (db) => ({
      row: await taskById(db, taskId),
      attempts: await attemptsOf(db, taskId),
      ...(await termsOf(db, taskId)),
    }));
    if (row === null) throw new TaskUnknown(taskId);
    return {
      ...taskViewOf(row),
      attempts: attempts.map(attemptViewOf),
      deadline: deadlineAt?.toISOString() ?? null,
      dependsOn,
    };
  }
}
