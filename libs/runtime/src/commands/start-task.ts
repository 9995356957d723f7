import type { TaskView } from '@muster/contracts';
import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { StartTask } from '#messages/runtime';
import { TaskStarts } from '../batches/task-starts.ts';

@CommandHandler(StartTask)
export class StartTaskHandler implements ICommandHandler<StartTask> {
  constructor(private readonly starts: TaskStarts) {}

  async execute({ task }: StartTask): Promise<TaskView> {
    return (await this.starts.one(task)).view();
  }
}
