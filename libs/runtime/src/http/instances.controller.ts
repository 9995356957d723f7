import {
  agentMessage,
  assignmentMessage,
  instanceView,
  pageOf,
  type AgentMessage,
  type InstanceView,
  type TaskAssignment,
} from '@muster/contracts';
import { Body, Controller, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { CurrentActor, goneSignal, Requires } from '#platform/http';
import { ConnectInstance } from '../commands/connect-instance.ts';
import { DisconnectInstance } from '../commands/disconnect-instance.ts';
import { RenewLeases } from '../commands/renew-leases.ts';
import { LongPoll } from '../dispatch/long-poll.ts';
import { heartbeatMsFor } from '../domain/lease-rules.ts';
import { ListInstances } from '../queries/list-instances.ts';
import { ReadInstance } from '../queries/read-instance.ts';
import { InstanceUnknown } from '../runtime.errors.ts';
import { touchInstance } from '../sql/instances.ts';
import * as schemas from './schemas.ts';

const helloMessage = agentMessage.options.find((option) => option.shape.type.value === 'hello');
type HelloSent = Extract<AgentMessage, { type: 'hello' }>;
const { type: _type, seq: _seq, protocol, ...helloFields } = (helloMessage as z.ZodObject<z.ZodRawShape>).shape;
/** The same hello as on the socket; there is nothing to answer it by, so no seq. */
const helloBody = z.strictObject({
  ...helloFields,
  protocol: (protocol as z.ZodType).default(1),
}) as unknown as z.ZodType<Omit<HelloSent, 'type' | 'seq'>>;
const claimed = z.object({ tasks: z.array(assignmentMessage) });

@ApiTags('instances')
@Controller('api')
export class InstancesController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly longPoll: LongPoll,
    private readonly config: Config,
    private readonly database: Database,
  ) {}

  @Get('instances')
  @Requires('instance.read')
  @ApiOperation({ summary: "List the team's instances, newest first" })
  @ApiResponse({ status: 200, standardSchema: pageOf(instanceView) })
  list(
    @CurrentActor() actor: Actor,
    @Query({ schema: schemas.instanceQuery }) q: z.output<typeof schemas.instanceQuery>,
  ): Promise<Page<InstanceView>> {
    return this.queries.execute(
      new ListInstances(actor.teamId, { states: q.state, agent: q.agent, limit: q.limit, cursor: q.cursor }),
    );
  }

  @Post('runtime/instances')
  @Requires('instance.connect', { scope: 'any' })
  @ApiOperation({ summary: 'Say hello, for agents that cannot hold a socket' })
  @ApiResponse({ status: 201, standardSchema: schemas.welcome })
  async hello(
    @CurrentActor() actor: Actor,
    @Body({ schema: helloBody }) body: z.output<typeof helloBody>,
  ): Promise<z.output<typeof schemas.welcome>> {
    const instance = await this.commands.execute(new ConnectInstance(actor, body, 'poll'));
    return {
      instanceId: instance.id,
      leaseMs: this.config.leaseSeconds * 1000,
      heartbeatMs: heartbeatMsFor(this.config.leaseSeconds),
    };
  }

  @Post('runtime/instances/:instanceId/claim')
  @HttpCode(200)
  @Requires('instance.connect', { scope: 'any' })
  @ApiOperation({ summary: 'Take tasks; waits for the first one' })
  @ApiResponse({ status: 200, standardSchema: claimed })
  async claim(
    @CurrentActor() actor: Actor,
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
    @Body({ schema: schemas.claimBody.prefault({}) }) body: z.output<typeof schemas.claimBody>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<{ tasks: TaskAssignment[] }> {
    return { tasks: await this.longPoll.claim(actor, instanceId, body, goneSignal(reply)) };
  }

  @Post('runtime/instances/:instanceId/heartbeat')
  @HttpCode(200)
  @Requires('instance.connect', { scope: 'any' })
  @ApiOperation({ summary: 'Give a sign of life and renew all leases; answers with the lost ones' })
  @ApiResponse({ status: 200, standardSchema: schemas.heartbeatAnswer })
  async heartbeat(
    @CurrentActor() actor: Actor,
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
    @Body({ schema: schemas.heartbeatBody.prefault({}) }) body: z.output<typeof schemas.heartbeatBody>,
  ): Promise<z.output<typeof schemas.heartbeatAnswer>> {
    const { stale } = await this.commands.execute(new RenewLeases(actor.id, instanceId, null, body.held));
    const { wanted, wantedReason } = await this.queries.execute(new ReadInstance(instanceId));
    return { stale: [...stale], wanted, wantedReason };
  }

  @Post('runtime/instances/:instanceId/bye')
  @HttpCode(200)
  @Requires('instance.connect', { scope: 'any' })
  @ApiOperation({ summary: 'Say goodbye and give everything back' })
  @ApiResponse({ status: 200, standardSchema: z.object({ released: z.number().int() }) })
  async bye(
    @CurrentActor() actor: Actor,
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
    @Body({ schema: schemas.byeBody.prefault({}) }) body: z.output<typeof schemas.byeBody>,
  ): Promise<{ released: number }> {
    const own = await touchInstance(this.database, { instanceId, actorId: actor.id, connection: null });
    if (own === null) throw new InstanceUnknown(instanceId);
    return this.commands.execute(
      new DisconnectInstance(instanceId, own.connection, { kind: 'bye', reason: body.reason }),
    );
  }
}
