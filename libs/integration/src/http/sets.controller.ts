import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  createSet,
  idOf,
  pageOf,
  pageQuery,
  rollbackLanding,
  setStates,
  type SetView,
  setView,
} from '@muster/contracts';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import type { Page } from '#kernel';
import { CurrentActor, Idempotent, Requires, visibleProjects } from '#platform/http';
import { CreateSet } from '../commands/create-set.ts';
import { RollBackSet } from '../commands/roll-back-set.ts';
import { FindSet, ListSets } from '../queries/show-sets.ts';

const setId = idOf('set');
const listQuery = pageQuery
  .extend({ projectId: idOf('project').optional(), state: z.enum(setStates).optional() })
  .strict();

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

  @Get()
  @Requires('landing.read')
  @ApiOperation({ summary: 'Sets, the newest first' })
  @ApiResponse({ status: 200, standardSchema: pageOf(setView) })
  list(
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<Page<SetView>> {
    const visible = visibleProjects(actor, 'landing.read');
    return this.queries.execute(new ListSets({ ...query, teamId: actor.teamId, visible }));
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
