import { processLog, startSupervised, supervisedView, type ProcessLog, type SupervisedView } from '@muster/contracts';
import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Idempotent, Requires } from '#platform/http';
import { StartSupervised } from '../commands/start-supervised.ts';
import { ReadProcessLog } from '../queries/read-process-log.ts';
import { ReadSupervised } from '../queries/read-supervised.ts';
import * as schemas from './schemas.ts';

@ApiTags('instances')
@Controller('api/runtime/instances')
export class SupervisedController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post('start')
  @Requires('instance.supervise')
  @Idempotent()
  @ApiOperation({ summary: "Start an agent's process on the server's machine, and keep it running" })
  @ApiResponse({ status: 201, standardSchema: supervisedView })
  start(
    @CurrentActor() actor: Actor,
    @Body({ schema: startSupervised }) body: z.output<typeof startSupervised>,
  ): Promise<SupervisedView> {
    return this.commands.execute(new StartSupervised(actor, body));
  }

  @Get(':instanceId')
  @Requires('instance.read')
  @ApiOperation({ summary: 'Look at the process of a supervised instance' })
  @ApiResponse({ status: 200, standardSchema: supervisedView })
  get(@Param('instanceId', { schema: schemas.instanceId }) instanceId: string): Promise<SupervisedView> {
    return this.queries.execute(new ReadSupervised(instanceId));
  }

  @Get(':instanceId/log')
  @Requires('instance.manage')
  @ApiOperation({ summary: 'Read what the process of a supervised instance printed last' })
  @ApiResponse({ status: 200, standardSchema: processLog })
  log(
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
    @Query({ schema: schemas.processLogQuery }) q: z.output<typeof schemas.processLogQuery>,
  ): Promise<ProcessLog> {
    return this.queries.execute(new ReadProcessLog(instanceId, q.lines));
  }
}
