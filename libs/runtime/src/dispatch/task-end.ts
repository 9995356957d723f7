import type { TaskView } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { FindTask } from '#messages/runtime';
import { EventLog } from '#platform/eventlog';

const lookEveryMs = 1_000;

/** For callers who would rather wait a little than ask again. */
@Injectable()
export class TaskEnd {
  constructor(
    private readonly queries: QueryBus,
    private readonly eventLog: EventLog,
  ) {}

  /** The task once it has ended, or as it stands when the time is up. */
  async of(task: TaskView, waitSeconds: number, gone: AbortSignal): Promise<TaskView> {
    const until = performance.now() + waitSeconds * 1000;
    let now = task;
    while (now.finishedAt === null && performance.now() < until && !gone.aborted) {
      await this.hint(Math.min(lookEveryMs, until - performance.now()));
      now = (await this.queries.execute(new FindTask(task.id))) ?? now;
    }
    return now;
  }

  private hint(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        off();
        resolve();
      };
      const timer = setTimeout(done, ms);
      const off = this.eventLog.onAdvance(done);
    });
  }
}
