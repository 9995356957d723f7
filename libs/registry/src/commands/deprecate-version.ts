import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { AgentVersionView } from '@muster/contracts';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { lockVersion, versionsOf } from './lock-version.ts';

/** Nothing new uses the version; what runs on it goes on. Deprecating it again changes nothing. */
export class DeprecateVersion extends Command<AgentVersionView> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
    readonly version: string,
  ) {
    super();
  }
}

@CommandHandler(DeprecateVersion)
export class DeprecateVersionHandler implements ICommandHandler<DeprecateVersion> {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async execute({ teamId, agent, version }: DeprecateVersion): Promise<AgentVersionView> {
    return this.database.transaction(async (tx) => {
      const { agent: owner, version: locked } = await lockVersion(tx, teamId, agent, version);
      if (!locked.deprecate(this.clock.now())) return locked.view();
      owner.show(await versionsOf(tx, owner));
      tx.append({
        type: 'agent.deprecated',
        teamId,
        projectId: null,
        subject: owner.id,
        data: { agent: locked.name, version: locked.version },
      });
      return locked.view();
    });
  }
}
