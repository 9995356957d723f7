import { instanceView, type InstanceView } from '@muster/contracts';
import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires } from '#platform/http';
import { DrainInstance } from '../commands/drain-instance.ts';
import { PauseInstance } from '../commands/pause-instance.ts';
import { ResumeInstance } from '../commands/resume-instance.ts';
import { StartInstance } from '../commands/start-instance.ts';
import { StopInstance } from '../commands/stop-instance.ts';
import { ReadInstance } from '../queries/read-instance.ts';
import * as schemas from './schemas.ts';

@ApiTags('instances')
@Controller('api/instances')
export class InstanceControlController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get(':instanceId')
  @Requires('instance.read')
  @ApiOperation({ summary: 'Look at one instance' })
  @ApiResponse({ status: 200, standardSchema: instanceView })
  get(@Param('instanceId', { schema: schemas.instanceId }) instanceId: string): Promise<InstanceView> {
    return this.queries.execute(new ReadInstance(instanceId));
  }

  @Post(':instanceId/pause')
  @HttpCode(200)
  @Requires('instance.manage')
  @ApiOperation({ summary: 'Give it nothing new; it goes on with what it holds' })
  @ApiResponse({ status: 200, standardSchema: instanceView })
  pause(
    @CurrentActor() actor: Actor,
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
    @Body({ schema: schemas.reasonBody.prefault({}) }) body: z.output<typeof schemas.reasonBody>,
  ): Promise<InstanceView> {
    return this.commands.execute(new PauseInstance(actor, instanceId, body.reason));
  }

  @Post(':instanceId/resume')
  @HttpCode(200)
  @Requires('instance.manage')
  @ApiOperation({ summary: 'Give it work again' })
  @ApiResponse({ status: 200, standardSchema: instanceView })
  resume(
    @CurrentActor() actor: Actor,
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
    @Body({ schema: schemas.reasonBody.prefault({}) }) body: z.output<typeof schemas.reasonBody>,
  ): Promise<InstanceView> {
    return this.commands.execute(new ResumeInstance(actor, instanceId, body.reason));
  }

  @Post(':instanceId/drain')
  @HttpCode(200)
  @Requires('instance.manage')
  @ApiOperation({ summary: 'Give it nothing new, let it finish what it holds and say goodbye' })
  @ApiResponse({ status: 200, standardSchema: instanceView })
  drain(
    @CurrentActor() actor: Actor,
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
    @Body({ schema: schemas.reasonBody.prefault({}) }) body: z.output<typeof schemas.reasonBody>,
  ): Promise<InstanceView> {
    return this.commands.execute(new DrainInstance(actor, instanceId, body.reason));
  }

  @Post(':instanceId/stop')
  @HttpCode(200)
  @Requires('instance.manage')
  @ApiOperation({ summary: 'Let it hand back what it holds and say goodbye; a supervised process is ended' })
  @ApiResponse({ status: 200, standardSchema: instanceView })
  stop(
    @CurrentActor() actor: Actor,
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
    @Body({ schema: schemas.stopBody.prefault({}) }) body: z.output<typeof schemas.stopBody>,
  ): Promise<InstanceView> {
    return this.commands.execute(
      new StopInstance(actor, instanceId, { graceSeconds: body.graceSeconds ?? null, reason: body.reason }),
    );
  }

  @Post(':instanceId/start')
  @HttpCode(200)
  @Requires('instance.supervise')
  @ApiOperation({ summary: 'Start the process of a supervised instance again' })
  @ApiResponse({ status: 200, standardSchema: instanceView })
  start(
    @CurrentActor() actor: Actor,
    @Param('instanceId', { schema: schemas.instanceId }) instanceId: string,
  ): Promise<InstanceView> {
    return this.commands.execute(new StartInstance(actor, instanceId));
  }
}
