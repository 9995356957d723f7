import type { TaskView } from '@muster/contracts';
import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { CancelTask } from '#messages/runtime';
import { Database } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { taskViewOf } from '../domain/task-row.ts';
import { TaskFinished, TaskUnknown } from '../runtime.errors.ts';
import { cancel, closeAttempt } from '../sql/outcomes.ts';
import { lockTask } from '../sql/tasks.ts';

/** Ends a task wherever it is; its agent is told, and nothing that it writes afterwards counts. Cancelling again changes nothing. */
@CommandHandler(CancelTask)
export class CancelTaskHandler implements ICommandHandler<CancelTask> {
  constructor(
    private readonly database: Database,
    private readonly wakeUps: WakeUps,
  ) {}

  async execute({ taskId, reason }: CancelTask): Promise<TaskView> {
    const { after, endedFence } = await this.database.transaction(async (tx) => {
      const task = await lockTask(tx, taskId);
      if (task === null) throw new TaskUnknown(taskId);
      if (task.state === 'cancelled') return { after: task, endedFence: null };
      if (task.state === 'succeeded' || task.state === 'failed') throw new TaskFinished(taskId, task.state);
      const fence = task.state === 'running' ? task.fence : null;
      if (fence !== null) await closeAttempt(tx, { taskId, outcome: 'cancelled', error: reason });
      const after = await cancel(tx, taskId, reason);
      tx.append({
        type: 'task.cancelled',
        teamId: task.team_id,
        projectId: task.project_id,
        subject: taskId,
        data: { taskId, reason },
      });
      return { after, endedFence: fence };
    });
    if (endedFence !== null) this.wakeUps.attemptEnded({ taskId, fence: endedFence, reason });
    return taskViewOf(after);
  }
}
