import type { InstanceView } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { InstanceWishes } from '../dispatch/instance-wishes.ts';

/** It may be given work again. */
export class ResumeInstance extends Command<InstanceView> {
  constructor(
    readonly by: Actor,
    readonly instanceId: string,
    readonly reason: string | null,
  ) {
    super();
  }
}

@CommandHandler(ResumeInstance)
export class ResumeInstanceHandler implements ICommandHandler<ResumeInstance> {
  constructor(private readonly wishes: InstanceWishes) {}

  execute({ by, instanceId, reason }: ResumeInstance): Promise<InstanceView> {
    return this.wishes.wish(by, instanceId, 'run', reason);
  }
}
