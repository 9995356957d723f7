import type { InstanceView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { InstanceWishes } from '../dispatch/instance-wishes.ts';

/** It is given nothing new, and goes on with what it holds. */
export class PauseInstance extends Command<InstanceView> {
  constructor(
    readonly by: Actor,
    readonly instanceId: string,
    readonly reason: string | null,
  ) {
    super();
  }
}

@CommandHandler(PauseInstance)
export class PauseInstanceHandler implements ICommandHandler<PauseInstance> {
  constructor(private readonly wishes: InstanceWishes) {}

  execute({ by, instanceId, reason }: PauseInstance): Promise<InstanceView> {
    return this.wishes.wish(by, instanceId, 'pause', reason);
  }
}
