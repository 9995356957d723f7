import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { AgentVersionView } from '@muster/contracts';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { type AgentVersionRow, toVersionView } from '../domain/agent-version.ts';
import { WrongState } from '../registry.errors.ts';
import { lockVersion } from './lock-version.ts';
import { refreshAgent } from './publish-version.ts';

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
      const row = await lockVersion(tx, teamId, agent, version);
      if (row.state === 'deprecated') return toVersionView(row);
      if (row.state === 'draft') throw new WrongState(row.name, row.version, row.state, 'deprecate');
      const [deprecated] = await tx.sql<AgentVersionRow>(
        `update agent_versions set state = 'deprecated', deprecated_at = $2 where id = $1 returning *`,
        [row.id, this.clock.now()],
      );
      if (deprecated === undefined) throw new Error(`Version ${version} of ${agent} was not there to be deprecated.`);
      await refreshAgent(tx, row.agent_id);
      tx.append({
        type: 'agent.deprecated',
        teamId,
        projectId: null,
        subject: row.agent_id,
        data: { agent: row.name, version: row.version },
      });
      return toVersionView(deprecated);
    });
  }
}
