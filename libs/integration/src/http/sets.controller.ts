import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { createSet, idOf, rollbackLanding, type SetView, setView } from '@muster/contracts';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Idempotent, Requires } from '#platform/http';
import { CreateSet } from '../commands/create-set.ts';
import { RollBackSet } from '../commands/roll-back-set.ts';
import { FindSet } from '../queries/find-set.ts';

const setId = idOf('set');

@ApiTags('landings')
@Controller('api/sets')
export class SetsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @HttpCode(201)
  @Requires('task.create')
  @Idempotent()
  @ApiOperation({ summary: 'Link tasks or submissions of several projects: all of it lands, or none' })
  @ApiResponse({ status: 201, standardSchema: setView })
  create(
    @Body({ schema: createSet }) body: z.output<typeof createSet>,
    @CurrentActor() actor: Actor,
  ): Promise<SetView> {
    return this.commands.execute(new CreateSet(actor.teamId, body, actor.id));
  }

  @Get(':setId')
  @Requires('landing.read')
  @ApiResponse({ status: 200, standardSchema: setView })
  get(@Param('setId', { schema: setId }) id: string): Promise<SetView> {
    return this.queries.execute(new FindSet(id));
  }

  @Post(':setId/rollback')
  @HttpCode(201)
  @Requires('landing.rollback')
  @Idempotent()
  @ApiResponse({ status: 201, standardSchema: setView })
  rollBack(
    @Param('setId', { schema: setId }) id: string,
    @Body({ schema: rollbackLanding }) body: z.output<typeof rollbackLanding>,
    @CurrentActor() actor: Actor,
  ): Promise<SetView> {
    return this.commands.execute(new RollBackSet(id, body.reason, actor.id));
  }
}
