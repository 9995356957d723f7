import type { Problem } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { toProblem } from '#platform/http';
import { TaskStarts, type BulkTask } from '../batches/task-starts.ts';

export type StartedItem =
  | { readonly taskId: string; readonly created: boolean }
  | { readonly taskId: null; readonly created: false; readonly problem: Problem };

/** Many tasks at once; each is made or refused by itself. */
export class StartTasks extends Command<StartedItem[]> {
  constructor(readonly tasks: readonly BulkTask[]) {
    super();
  }
}

@CommandHandler(StartTasks)
export class StartTasksHandler implements ICommandHandler<StartTasks> {
  constructor(private readonly starts: TaskStarts) {}

  async execute({ tasks }: StartTasks): Promise<StartedItem[]> {
    const results = await this.starts.many(tasks);
    return results.map((result) =>
      result.status === 'fulfilled'
        ? { taskId: result.value.taskId, created: result.value.created }
        : { taskId: null, created: false, problem: toProblem(result.reason) },
    );
  }
}
