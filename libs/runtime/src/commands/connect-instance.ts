import type { AgentMessage } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import { randomUUID } from 'node:crypto';
import { Ids } from '#kernel';
import type { Actor } from '#messages/auth';
import { FindPublishedVersion } from '#messages/registry';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { isReserved, secondsOf } from '../domain/lease-rules.ts';
import type { InstanceLimits, InstanceRow } from '../domain/task-row.ts';
import { AgentUnknown, CapabilityUndeclared, ReservedCapability } from '../runtime.errors.ts';
import { insertInstance, resumeInstance, type Hello } from '../sql/instances.ts';
import { supervisedByKey } from '../sql/supervised.ts';

export type HelloBody = Omit<Extract<AgentMessage, { type: 'hello' }>, 'type' | 'seq'>;

/** The default of a definition's `retry.backoff`: whoever leaves it alone gets the server's own delays. */
const defaultBackoff = ['5s', '15s', '30s'];

/** An agent says hello: a new instance of a published version, or an earlier one taken up again with the leases that it still holds. */
export class ConnectInstance extends Command<InstanceRow> {
  constructor(
    readonly actor: Actor,
    readonly hello: HelloBody,
    readonly transport: 'socket' | 'poll',
  ) {
    super();
  }
}

@CommandHandler(ConnectInstance)
export class ConnectInstanceHandler implements ICommandHandler<ConnectInstance> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly config: Config,
    private readonly ids: Ids,
  ) {}

  async execute({ actor, hello, transport }: ConnectInstance): Promise<InstanceRow> {
    const identity = actor.permissions.has('system.verify')
      ? this.ofSystem(hello)
      : await this.ofDefinition(actor, hello);
    const row: Hello = {
      ...identity,
      id: hello.resume ?? this.ids.next('instance'),
      teamId: actor.teamId,
      onlyProjectId: actor.onlyProjectId,
      actorId: actor.id,
      agent: hello.agent,
      name: hello.name ?? null,
      transport,
      connection: randomUUID(),
      capabilities: [...new Set(hello.capabilities)],
      labels: hello.labels,
      capacity: hello.capacity,
    };
    return this.database.transaction(async (tx) => {
      const supervised = hello.resume === undefined ? await supervisedByKey(tx, actor.id) : null;
      const known = hello.resume ?? supervised;
      const resumed = known === null ? null : await resumeInstance(tx, { ...row, id: known });
      const instance =
        resumed ??
        (await insertInstance(tx, { ...row, id: hello.resume === undefined ? row.id : this.ids.next('instance') }));
      tx.append({
        type: 'instance.connected',
        teamId: instance.team_id,
        projectId: null,
        subject: instance.id,
        priority: 'low',
        data: {
          instanceId: instance.id,
          agent: instance.agent,
          version: instance.agent_version,
          resumed: resumed !== null,
        },
      });
      return instance;
    });
  }

  /** The server's own agents have no definition: what they may do is what nobody else may. */
  private ofSystem(hello: HelloBody): {
    agentVersion: string;
    system: true;
    limits: InstanceLimits;
    outputSchemas: Record<string, unknown>;
  } {
    const foreign = hello.capabilities.filter((capability) => !isReserved(capability));
    if (foreign.length > 0) throw new CapabilityUndeclared(hello.agent, 'system', foreign);
    return {
      agentVersion: '0.0.0',
      system: true,
      // Its own time limit is the project's; this one only ends what hangs.
      limits: {
        concurrency: 1000,
        timeoutSeconds: this.config.maxTimeoutSeconds + 300,
        costUsd: null,
        attempts: 5,
        retryDelaysSeconds: null,
      },
      outputSchemas: {},
    };
  }

  private async ofDefinition(
    actor: Actor,
    hello: HelloBody,
  ): Promise<{ agentVersion: string; system: false; limits: InstanceLimits; outputSchemas: Record<string, unknown> }> {
    const reserved = hello.capabilities.find(isReserved);
    if (reserved !== undefined) throw new ReservedCapability(reserved);
    const version = await this.queries.execute(new FindPublishedVersion(actor.teamId, hello.agent, hello.version));
    if (version === null) throw new AgentUnknown(hello.agent, hello.version);
    const { skills, limits, retry } = version.definition;
    const undeclared = hello.capabilities.filter((capability) => !skills.some((skill) => skill.name === capability));
    if (undeclared.length > 0) throw new CapabilityUndeclared(hello.agent, version.version, undeclared);
    const backoffIsDefault = JSON.stringify(retry.backoff) === JSON.stringify(defaultBackoff);
    return {
      agentVersion: version.version,
      system: false,
      limits: {
        concurrency: limits.concurrency,
        timeoutSeconds: secondsOf(limits.timeout),
        costUsd: limits.costUsd ?? null,
        attempts: retry.attempts,
        retryDelaysSeconds: backoffIsDefault ? null : retry.backoff.map(secondsOf),
      },
      outputSchemas: Object.fromEntries(skills.map((skill) => [skill.name, skill.output])),
    };
  }
}
