import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { agentDefinition, type AgentVersionView } from '@muster/contracts';
import { Clock, type Tx } from '#kernel';
import { Database } from '#platform/database';
import { type AgentVersionRow, latestOf, toVersionView } from '../domain/agent-version.ts';
import { WrongState } from '../registry.errors.ts';
import { lockVersion } from './lock-version.ts';

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
      const row = await lockVersion(tx, teamId, agent, version);
      switch (row.state) {
        case 'published':
          return toVersionView(row);
        case 'deprecated':
          throw new WrongState(row.name, row.version, row.state, 'publish');
        case 'draft': {
          const published = await publish(tx, row, this.clock.now());
          await refreshAgent(tx, row.agent_id);
          return toVersionView(published);
        }
      }
    });
  }
}

/** Publishes a locked draft and tells everyone. */
export async function publish(tx: Tx, row: AgentVersionRow, now: Date): Promise<AgentVersionRow> {
  const [published] = await tx.sql<AgentVersionRow>(
    `update agent_versions set state = 'published', published_at = $2 where id = $1 returning *`,
    [row.id, now],
  );
  if (published === undefined) throw new Error(`Version ${row.version} of ${row.name} was not there to be published.`);
  tx.append({
    type: 'agent.published',
    teamId: row.team_id,
    projectId: null,
    subject: row.agent_id,
    data: { agent: row.name, version: row.version },
  });
  return published;
}

/** Brings what lists show of an agent up to its highest published version, or, before there is one, its newest draft's words. */
export async function refreshAgent(tx: Tx, agentId: string): Promise<void> {
  const versions = await tx.sql<AgentVersionRow>(
    `select id, version, state, definition from agent_versions where agent_id = $1 order by id desc`,
    [agentId],
  );
  const latest = latestOf(versions.filter(({ state }) => state === 'published').map(({ version }) => version));
  const shown = versions.find(({ version }) => version === latest) ?? versions[0];
  if (shown === undefined) return;
  const { metadata, skills } = agentDefinition.parse(shown.definition);
  await tx.sql(`update agents set description = $2, latest_version = $3, capabilities = $4 where id = $1`, [
    agentId,
    metadata.description ?? metadata.title ?? null,
    latest,
    latest === null ? [] : skills.map(({ name }) => name),
  ]);
}
