import type { TaskView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { TreeCancel, type TreeProgress } from '../dispatch/tree-cancel.ts';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { taskViewOf } from '../domain/task-row.ts';
import { TaskUnknown } from '../runtime.errors.ts';
import { cancelMany } from '../sql/trees.ts';
import { taskById } from '../sql/tasks.ts';

/** Ends a task and everything below it. A root that has ended stays as it ended; what is below it is cancelled all the same. */
export class CancelTree extends Command<TaskView & { tree: TreeProgress }> {
  constructor(
    readonly taskId: string,
    readonly reason: string,
  ) {
    super();
  }
}

@CommandHandler(CancelTree)
export class CancelTreeHandler implements ICommandHandler<CancelTree> {
  constructor(
    private readonly database: Database,
    private readonly wakeUps: WakeUps,
    private readonly trees: TreeCancel,
  ) {}

  async execute({ taskId, reason }: CancelTree): Promise<TaskView & { tree: TreeProgress }> {
    const [root] = await this.database.transaction(async (tx) => {
      if ((await taskById(tx, taskId)) === null) throw new TaskUnknown(taskId);
      await this.trees.remember(tx, taskId);
      const ended = await cancelMany(tx, [taskId], reason);
      for (const { id, team_id, project_id } of ended)
        tx.append({
          type: 'task.cancelled',
          teamId: team_id,
          projectId: project_id,
          subject: id,
          data: { taskId: id, reason },
        });
      return ended;
    });
    if (root?.fence !== undefined && root.fence !== null)
      this.wakeUps.attemptEnded({ taskId, fence: root.fence, reason });
    const below = await this.trees.below(taskId, reason);
    const task = await taskById(this.database, taskId);
    if (task === null) throw new TaskUnknown(taskId);
    return {
      ...taskViewOf(task),
      tree: { cancelled: below.cancelled + (root === undefined ? 0 : 1), complete: below.complete },
    };
  }
}
