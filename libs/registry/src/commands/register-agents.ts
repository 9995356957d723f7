import { LockMode } from '@mikro-orm/postgresql';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { AgentDefinition, AgentVersionView } from '@muster/contracts';
import { Clock, Ids } from '#kernel';
import { Authenticator, type Actor } from '#messages/auth';
import { Database, type Transaction } from '#platform/database';
import { Agent } from '../domain/agent.ts';
import { AgentVersion } from '../domain/agent-version.ts';
import { checkDefinition } from '../domain/check-definition.ts';
import { contentHash as contentHashOf } from '../domain/content-hash.ts';
import { asSent, BUNDLE_LIMIT_BYTES, eachOf, readSource, type SentDefinition } from '../domain/read-source.ts';
import { DefinitionInvalid, DefinitionTooLarge, PublishingForbidden, VersionTaken } from '../registry.errors.ts';
import { versionsOf } from './lock-version.ts';
import { publish } from './publish-version.ts';

export interface SentAgents {
  /** YAML or JSON text: one document, several, or a list. */
  readonly source?: string | undefined;
  readonly definitions?: readonly unknown[] | undefined;
  readonly publish: boolean;
}
export interface Registered {
  readonly versions: AgentVersionView[];
  /** False when every one of them was there before, with the same content. */
  readonly created: boolean;
}

const MAX_DEFINITIONS = 100;

/** Registers one definition or a bundle: all of them or none. The same content again is the same version. */
export class RegisterAgents extends Command<Registered> {
  constructor(
    readonly actor: Actor,
    readonly sent: SentAgents,
    /** A single definition is expected: several in one text are refused. */
    readonly single: boolean,
  ) {
    super();
  }
}

@CommandHandler(RegisterAgents)
export class RegisterAgentsHandler implements ICommandHandler<RegisterAgents> {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly clock: Clock,
    private readonly authenticator: Authenticator,
  ) {}

  async execute({ actor, sent, single }: RegisterAgents): Promise<Registered> {
    // The route asks for agent.write only: who publishes in the same breath needs what the publish route asks for.
    if (sent.publish && !this.authenticator.allows(actor, 'agent.publish', null)) throw new PublishingForbidden();
    const definitions = await definitionsIn(sent, single);
    // Agents are locked in the order of their names, so that two bundles never wait for each other.
    const order = [...definitions.keys()].sort((a, b) => (nameOf(definitions, a) < nameOf(definitions, b) ? -1 : 1));
    return this.database.transaction(async (tx) => {
      const registered = new Map<number, AgentVersion>();
      let created = false;
      for (const index of order) {
        const definition = definitions[index];
        if (definition === undefined) continue;
        const done = await this.register(tx, actor.teamId, definition);
        created ||= done.created;
        if (sent.publish && done.version.state === 'draft') publish(tx, done.version, this.clock.now());
        done.agent.show(await versionsOf(tx, done.agent));
        registered.set(index, done.version);
      }
      return {
        versions: [...definitions.keys()].flatMap((index) => registered.get(index) ?? []).map((one) => one.view()),
        created,
      };
    });
  }

  private async register(
    tx: Transaction,
    teamId: string,
    definition: AgentDefinition,
  ): Promise<{ agent: Agent; version: AgentVersion; created: boolean }> {
    const { name, version } = definition.metadata;
    const contentHash = contentHashOf(definition);
    const now = this.clock.now();
    // Makes the agent or waits for who does: from here on its versions are ours alone.
    await tx.sql(
      `insert into agents (id, team_id, name, created_at) values ($1, $2, $3, $4)
       on conflict (team_id, name) do update set name = excluded.name`,
      [this.ids.next('agent'), teamId, name, now],
    );
    const agent = await tx.em.findOneOrFail(Agent, { teamId, name });
    const present = await tx.em.findOne(
      AgentVersion,
      { agentId: agent.id, version },
      { lockMode: LockMode.PESSIMISTIC_WRITE },
    );
    if (present !== null) {
      if (present.contentHash !== contentHash) throw new VersionTaken(name, version, present.state);
      return { agent, version: present, created: false };
    }
    const made = tx.em.create(AgentVersion, {
      id: this.ids.next('agentVersion'),
      teamId,
      agentId: agent.id,
      name,
      version,
      state: 'draft',
      contentHash,
      definition,
      createdAt: now,
      publishedAt: null,
      deprecatedAt: null,
    });
    await tx.em.flush();
    await tx.sql(`insert into agent_version_skills (agent_version_id, capability) select $1, unnest($2::text[])`, [
      made.id,
      definition.skills.map((skill) => skill.name),
    ]);
    await tx.sql(
      `insert into agent_version_triggers (agent_version_id, team_id, event_type) select $1, $2, unnest($3::text[])`,
      [made.id, teamId, [...new Set(definition.triggers.map((trigger) => trigger.event))]],
    );
    return { agent, version: made, created: true };
  }
}

const nameOf = (definitions: readonly AgentDefinition[], index: number): string =>
  definitions[index]?.metadata.name ?? '';

async function definitionsIn({ source, definitions = [] }: SentAgents, single: boolean): Promise<AgentDefinition[]> {
  const sent = single ? oneIn(source, definitions) : severalIn(source, definitions);
  if (sent.length === 0 || sent.length > MAX_DEFINITIONS) {
    const message = `holds ${sent.length} definitions; a bundle has 1 to ${MAX_DEFINITIONS}`;
    throw new DefinitionInvalid([{ path: '', message }]);
  }
  const checked: AgentDefinition[] = [];
  for (const [index, one] of sent.entries()) {
    checked.push(checkDefinition(one, single ? [] : [index]));
    // Compiling schemas keeps the process busy: others get their turn between two definitions.
    if (sent.length > 1) await new Promise((resolve) => setImmediate(resolve));
  }
  return checked;
}

function oneIn(source: string | undefined, definitions: readonly unknown[]): SentDefinition[] {
  const sent = source === undefined ? definitions.map(asSent) : readSource(source);
  if (sent.length <= 1) return sent;
  const message = `holds ${sent.length} documents; send several to POST /api/agents/import`;
  throw new DefinitionInvalid([{ path: '', message, ...(sent[1]?.placeOf([]) ?? {}) }]);
}

function severalIn(source: string | undefined, definitions: readonly unknown[]): SentDefinition[] {
  if (source !== undefined) return readSource(source, BUNDLE_LIMIT_BYTES).flatMap(eachOf);
  const bytes = Buffer.byteLength(JSON.stringify(definitions));
  if (bytes > BUNDLE_LIMIT_BYTES) throw new DefinitionTooLarge(bytes, BUNDLE_LIMIT_BYTES);
  return definitions.map(asSent);
}
