import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Clock, Ids } from '#kernel';
import { IssueAgentKey } from '#messages/auth';
import { Database } from '#platform/database';
import { Actors } from '../access/actors.ts';
import { insertApiKey } from '../access/new-api-key.ts';
import { MoreThanYouHave } from '../auth.errors.ts';
import { rolePermissions } from '../domain/role-permissions.ts';
import { credentialOfKey, hashOf, newSecret } from '../domain/secrets.ts';

/** Asked anew for each process, so that whoever may not start one any more does not have one started again. */
@CommandHandler(IssueAgentKey)
export class IssueAgentKeyHandler implements ICommandHandler<IssueAgentKey> {
  constructor(
    private readonly database: Database,
    private readonly actors: Actors,
    private readonly ids: Ids,
    private readonly clock: Clock,
  ) {}

  async execute({ key }: IssueAgentKey): Promise<{ keyId: string; credential: string }> {
    const { teamId, onBehalfOf, name, projectId } = key;
    const maker = await this.actors.ofId(onBehalfOf);
    if (maker === null || maker.teamId !== teamId || !maker.permissions.has('instance.supervise'))
      throw new MoreThanYouHave(['instance.supervise']);
    const keyId = this.ids.next('apiKey');
    const secret = newSecret();
    await this.database.transaction(async (tx) => {
      const made = await insertApiKey(tx, {
        id: keyId,
        teamId,
        projectId,
        name,
        role: 'agent',
        permissions: [...rolePermissions.agent].sort(),
        secretHash: hashOf(secret),
        makerId: onBehalfOf,
        now: this.clock.now(),
        expiresAt: null,
      });
      if (made === null) throw new MoreThanYouHave(['instance.supervise']);
    });
    return { keyId, credential: credentialOfKey(keyId, secret) };
  }
}
