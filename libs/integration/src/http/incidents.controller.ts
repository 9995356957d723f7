import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import { idOf, type Incident, incident, incidentStates, openIncident, pageOf, pageQuery } from '@muster/contracts';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import type { Page } from '#kernel';
import { CurrentActor, Idempotent, Requires, visibleProjects } from '#platform/http';
import { OpenIncident } from '../commands/open-incident.ts';
import { FindIncident, ListIncidents } from '../queries/show-incidents.ts';

const incidentId = idOf('incident');
const projectId = idOf('project');
const listQuery = pageQuery
  .extend({ projectId: projectId.optional(), state: z.enum(incidentStates).optional() })
  .strict();

@ApiTags('incidents')
@Controller('api')
export class IncidentsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get('incidents')
  @Requires('landing.read')
  @ApiResponse({ status: 200, standardSchema: pageOf(incident) })
  list(
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<Page<Incident>> {
    const visible = visibleProjects(actor, 'landing.read');
    return this.queries.execute(new ListIncidents({ ...query, teamId: actor.teamId, visible }));
  }

  @Get('incidents/:incidentId')
  @Requires('landing.read')
  @ApiResponse({ status: 200, standardSchema: incident })
  get(@Param('incidentId', { schema: incidentId }) id: string): Promise<Incident> {
    return this.queries.execute(new FindIncident(id));
  }

  @Post('projects/:projectId/incidents')
  @HttpCode(201)
  @Requires('landing.rollback')
  @Idempotent()
  @ApiResponse({ status: 201, standardSchema: incident })
  async open(
    @Param('projectId', { schema: projectId }) id: string,
    @Body({ schema: openIncident }) body: z.output<typeof openIncident>,
    @CurrentActor() actor: Actor,
  ): Promise<Incident> {
    const opened = await this.commands.execute(new OpenIncident(id, body, actor.id));
    return await this.queries.execute(new FindIncident(opened));
  }
}
