import { Controller, Get, Param, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  type ConflictForecast,
  conflictForecast,
  enforcerView,
  type EnforcerView,
  idOf,
  type QueueView,
  queueView,
  repositoryPath,
} from '@muster/contracts';
import { z } from 'zod';
import { ForecastConflicts } from '#messages/integration';
import { Requires } from '#platform/http';
import { ShowEnforcer } from '../queries/show-enforcer.ts';
import { ShowQueue } from '../queries/show-queue.ts';

const projectId = idOf('project');
const forecastQuery = z.strictObject({
  path: z.union([repositoryPath, z.array(repositoryPath).max(200)]).optional(),
});

@ApiTags('landings')
@Controller('api/projects/:projectId')
export class QueueController {
  constructor(private readonly queries: QueryBus) {}

  @Get('queue')
  @Requires('landing.read')
  @ApiOperation({
    summary: 'The landing queue as it stands: what is tested on top of what, since when, and when it will land',
  })
  @ApiResponse({ status: 200, standardSchema: queueView })
  queue(@Param('projectId', { schema: projectId }) id: string): Promise<QueueView> {
    return this.queries.execute(new ShowQueue(id));
  }

  @Get('conflicts')
  @Requires('submission.read')
  @ApiOperation({ summary: 'Which open changes will conflict with one another, and which touch the given paths' })
  @ApiResponse({ status: 200, standardSchema: conflictForecast })
  conflicts(
    @Param('projectId', { schema: projectId }) id: string,
    @Query({ schema: forecastQuery }) { path }: z.output<typeof forecastQuery>,
  ): Promise<ConflictForecast> {
    return this.queries.execute(new ForecastConflicts(id, path === undefined ? [] : [path].flat()));
  }

  @Get('enforcer')
  @Requires('submission.read')
  @ApiOperation({ summary: 'What the project insists on, whose work stays below it, and what waits because of it' })
  @ApiResponse({ status: 200, standardSchema: enforcerView })
  enforcer(@Param('projectId', { schema: projectId }) id: string): Promise<EnforcerView> {
    return this.queries.execute(new ShowEnforcer(id));
  }
}
