import { runtimeStatus, type RuntimeStatus } from '@muster/contracts';
import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires } from '#platform/http';
import { StartDispatch } from '../commands/start-dispatch.ts';
import { StopDispatch } from '../commands/stop-dispatch.ts';
import { ReadRuntimeStatus } from '../queries/read-runtime-status.ts';
import * as schemas from './schemas.ts';

@ApiTags('runtime')
@Controller('api/runtime')
export class RuntimeController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get('status')
  @Requires('instance.read')
  @ApiOperation({ summary: "Whether the team's tasks are given out, and its instances by state" })
  @ApiResponse({ status: 200, standardSchema: runtimeStatus })
  status(@CurrentActor() actor: Actor): Promise<RuntimeStatus> {
    return this.queries.execute(new ReadRuntimeStatus(actor.teamId));
  }

  @Post('stop')
  @HttpCode(200)
  @Requires('instance.manage')
  @ApiOperation({ summary: 'Give out no tasks of the team, or of any; what is being worked on goes on' })
  @ApiResponse({ status: 200, standardSchema: runtimeStatus })
  stop(
    @CurrentActor() actor: Actor,
    @Body({ schema: schemas.stopRuntimeBody.prefault({}) }) body: z.output<typeof schemas.stopRuntimeBody>,
  ): Promise<RuntimeStatus> {
    return this.commands.execute(new StopDispatch(actor, body));
  }

  @Post('start')
  @HttpCode(200)
  @Requires('instance.manage')
  @ApiOperation({ summary: 'Give out tasks again' })
  @ApiResponse({ status: 200, standardSchema: runtimeStatus })
  start(
    @CurrentActor() actor: Actor,
    @Body({ schema: schemas.startRuntimeBody.prefault({}) }) body: z.output<typeof schemas.startRuntimeBody>,
  ): Promise<RuntimeStatus> {
    return this.commands.execute(new StartDispatch(actor, body));
  }
}
