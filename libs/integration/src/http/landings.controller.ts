import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  idOf,
  landingStates,
  type LandingView,
  landingView,
  pageOf,
  pageQuery,
  type RollbackForecast,
  rollbackForecast,
  rollbackLanding,
  type SubmissionView,
  submissionView,
} from '@muster/contracts';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import { FindLanding, RollBackLanding } from '#messages/integration';
import type { Page } from '#kernel';
import { CurrentActor, Idempotent, Requires, visibleProjects } from '#platform/http';
import { NotFound } from '../integration.errors.ts';
import { ForecastRollback } from '../queries/forecast-rollback.ts';
import { ListLandings } from '../queries/list-landings.ts';

const landingId = idOf('landing');
const listQuery = pageQuery
  .extend({
    projectId: idOf('project').optional(),
    state: z.enum(landingStates).optional(),
    taskId: idOf('task').optional(),
  })
  .strict();

@ApiTags('landings')
@Controller('api/landings')
export class LandingsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @Requires('landing.read')
  @ApiResponse({ status: 200, standardSchema: pageOf(landingView) })
  list(
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<Page<LandingView>> {
    const visible = visibleProjects(actor, 'landing.read');
    return this.queries.execute(new ListLandings({ ...query, teamId: actor.teamId, visible }));
  }

  @Get(':landingId')
  @Requires('landing.read')
  @ApiResponse({ status: 200, standardSchema: landingView })
  async get(@Param('landingId', { schema: landingId }) id: string): Promise<LandingView> {
    const found = await this.queries.execute(new FindLanding(id));
    if (found === null) throw new NotFound('landing', id);
    return found;
  }

  @Get(':landingId/rollback')
  @Requires('landing.read')
  @ApiResponse({ status: 200, standardSchema: rollbackForecast })
  forecast(@Param('landingId', { schema: landingId }) id: string): Promise<RollbackForecast> {
    return this.queries.execute(new ForecastRollback(id));
  }

  @Post(':landingId/rollback')
  @HttpCode(201)
  @Requires('landing.rollback')
  @Idempotent()
  @ApiResponse({ status: 201, standardSchema: submissionView })
  rollBack(
    @Param('landingId', { schema: landingId }) id: string,
    @Body({ schema: rollbackLanding }) body: z.output<typeof rollbackLanding>,
    @CurrentActor() actor: Actor,
  ): Promise<SubmissionView> {
    return this.commands.execute(new RollBackLanding(id, body.reason, actor.id));
  }
}
