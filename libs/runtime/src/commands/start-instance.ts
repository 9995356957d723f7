import type { InstanceView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { Signals } from '#platform/redis';
import { InstanceWishes } from '../dispatch/instance-wishes.ts';
import { NotSupervised } from '../runtime.errors.ts';
import { wantRunning } from '../sql/supervised.ts';
import { supervisedTopic } from '../supervised/supervisor.ts';

/** Starts the process of a supervised instance again that was stopped or given up, on behalf of whoever says so. */
export class StartInstance extends Command<InstanceView> {
  constructor(
    readonly by: Actor,
    readonly instanceId: string,
  ) {
    super();
  }
}

@CommandHandler(StartInstance)
export class StartInstanceHandler implements ICommandHandler<StartInstance> {
  constructor(
    private readonly wishes: InstanceWishes,
    private readonly signals: Signals,
  ) {}

  async execute({ by, instanceId }: StartInstance): Promise<InstanceView> {
    const view = await this.wishes.wish(by, instanceId, 'run', null, async (tx) => {
      if ((await wantRunning(tx, instanceId, by.id)) === null) throw new NotSupervised(instanceId);
    });
    this.signals.publish(supervisedTopic);
    return view;
  }
}
