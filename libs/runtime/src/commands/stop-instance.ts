import type { InstanceView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { Signals } from '#platform/redis';
import { InstanceWishes } from '../dispatch/instance-wishes.ts';
import { wantStopped } from '../sql/supervised.ts';
import { supervisedTopic } from '../supervised/supervisor.ts';

/**
 * It hands back what it holds and says goodbye. A process that the server runs is asked first, then ended with all that it
 * started, and not started again; another one is only asked.
 */
export class StopInstance extends Command<InstanceView> {
  constructor(
    readonly by: Actor,
    readonly instanceId: string,
    readonly q: { readonly graceSeconds: number | null; readonly reason: string | null },
  ) {
    super();
  }
}

@CommandHandler(StopInstance)
export class StopInstanceHandler implements ICommandHandler<StopInstance> {
  constructor(
    private readonly wishes: InstanceWishes,
    private readonly signals: Signals,
  ) {}

  async execute({ by, instanceId, q }: StopInstance): Promise<InstanceView> {
    const view = await this.wishes.wish(by, instanceId, 'stop', q.reason, async (tx) => {
      await wantStopped(tx, instanceId, q.graceSeconds);
    });
    this.signals.publish(supervisedTopic);
    return view;
  }
}
