import { CommandBus, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { RevokeAgentKey } from '#messages/auth';
import { RevokeApiKey } from './revoke-api-key.ts';

@CommandHandler(RevokeAgentKey)
export class RevokeAgentKeyHandler implements ICommandHandler<RevokeAgentKey> {
  constructor(private readonly commands: CommandBus) {}

  execute({ teamId, keyId }: RevokeAgentKey): Promise<void> {
    return this.commands.execute(new RevokeApiKey({ id: 'server', teamId }, keyId));
  }
}
