import type { InstanceView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { InstanceWishes } from '../dispatch/instance-wishes.ts';

/** It is given nothing new, finishes what it holds, and says goodbye. */
export class DrainInstance extends Command<InstanceView> {
  constructor(
    readonly by: Actor,
    readonly instanceId: string,
    readonly reason: string | null,
  ) {
    super();
  }
}

@CommandHandler(DrainInstance)
export class DrainInstanceHandler implements ICommandHandler<DrainInstance> {
  constructor(private readonly wishes: InstanceWishes) {}

  execute({ by, instanceId, reason }: DrainInstance): Promise<InstanceView> {
    return this.wishes.wish(by, instanceId, 'drain', reason);
  }
}
