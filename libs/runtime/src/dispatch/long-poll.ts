import type { TaskAssignment } from '@muster/contracts';
import { Injectable } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { EventLog } from '#platform/eventlog';
import { ClaimTasks } from '../commands/claim-tasks.ts';
import { ReleaseAttempt } from '../commands/release-attempt.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import { InstanceUnknown } from '../runtime.errors.ts';
import { touchInstance } from '../sql/instances.ts';
import { WakeUps } from './wake-ups.ts';

const lookEveryMs = 1_000;

/** Tasks for agents that cannot hold a socket: the request stays open until there is one, or its time is up. */
@Injectable()
export class LongPoll {
  constructor(
    private readonly commands: CommandBus,
    private readonly database: Database,
    private readonly eventLog: EventLog,
    private readonly wakeUps: WakeUps,
  ) {}

  async claim(
    actor: Actor,
    instanceId: string,
    q: { waitSeconds: number; count: number },
    gone: AbortSignal,
  ): Promise<TaskAssignment[]> {
    const until = performance.now() + q.waitSeconds * 1000;
    let instance: InstanceRow | null = null;
    let first = true;
    for (let touched = 0; ;) {
      // An open request is a sign of life, as good as a heartbeat; one each second is enough.
      if (instance === null || performance.now() - touched >= lookEveryMs) {
        instance = await touchInstance(this.database, { instanceId, actorId: actor.id, connection: null });
        touched = performance.now();
      }
      if (instance === null) throw new InstanceUnknown(instanceId);
      const tasks = await this.commands.execute(new ClaimTasks(actor, instance, q.count, first));
      first = false;
      if (tasks.length > 0 && gone.aborted) {
        for (const { taskId, fence } of tasks) {
          await this.commands.execute(
            new ReleaseAttempt(
              { actorId: actor.id, taskId, fence },
              { reason: 'the request was gone before the task arrived' },
            ),
          );
        }
        return [];
      }
      const left = until - performance.now();
      if (tasks.length > 0 || left <= 0 || gone.aborted) return tasks;
      await this.hint(Math.min(left, lookEveryMs), gone);
    }
  }

  /** Until there may be something, or the time is up. */
  private hint(ms: number, gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        for (const off of offs) off();
        gone.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      const offs = [this.wakeUps.onClaimable(done), this.eventLog.onAdvance(done)];
      gone.addEventListener('abort', done);
    });
  }
}
