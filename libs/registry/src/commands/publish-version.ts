import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { AgentVersionView } from '@muster/contracts';
import { Clock, type Tx } from '#kernel';
import { Database } from '#platform/database';
import type { AgentVersion } from '../domain/agent-version.ts';
import { lockVersion, versionsOf } from './lock-version.ts';

/** From now on the version can be assigned and run, and its triggers are live. Publishing it again changes nothing. */
export class PublishVersion extends Command<AgentVersionView> {
  constructor(
    readonly teamId: string,
    readonly agent: string,
    readonly version: string,
  ) {
    super();
  }
}

@CommandHandler(PublishVersion)
export class PublishVersionHandler implements ICommandHandler<PublishVersion> {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async execute({ teamId, agent, version }: PublishVersion): Promise<AgentVersionView> {
    return this.database.transaction(async (tx) => {
      const { agent: owner, version: locked } = await lockVersion(tx, teamId, agent, version);
      if (publish(tx, locked, this.clock.now())) owner.show(await versionsOf(tx, owner));
      return locked.view();
    });
  }
}

/** Publishes a locked version and tells everyone. False when it was published before. */
export function publish(tx: Tx, version: AgentVersion, now: Date): boolean {
  if (!version.publish(now)) return false;
  tx.append({
    type: 'agent.published',
    teamId: version.teamId,
    projectId: null,
    subject: version.agentId,
    data: { agent: version.name, version: version.version },
  });
  return true;
}
