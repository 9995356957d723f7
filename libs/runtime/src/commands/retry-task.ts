import type { TaskView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { taskViewOf } from '../domain/task-row.ts';
import { TaskNotWaitingForAPerson, TaskUnknown } from '../runtime.errors.ts';
import { queueAgain } from '../sql/outcomes.ts';
import { lockTask } from '../sql/tasks.ts';

/** The person whom a task waits for says: try again. */
export class RetryTask extends Command<TaskView> {
  constructor(readonly taskId: string) {
    super();
  }
}

@CommandHandler(RetryTask)
export class RetryTaskHandler implements ICommandHandler<RetryTask> {
  constructor(
    private readonly database: Database,
    private readonly wakeUps: WakeUps,
  ) {}

  async execute({ taskId }: RetryTask): Promise<TaskView> {
    const after = await this.database.transaction(async (tx) => {
      const task = await lockTask(tx, taskId);
      if (task === null) throw new TaskUnknown(taskId);
      if (task.state !== 'waiting' || task.wait_reason !== 'person')
        throw new TaskNotWaitingForAPerson(taskId, task.state);
      const row = await queueAgain(tx, taskId);
      tx.append({
        type: 'task.requeued',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: taskId,
        data: { taskId, reason: 'person', round: row.reworks },
      });
      return row;
    });
    this.wakeUps.somethingToClaim();
    return taskViewOf(after);
  }
}
