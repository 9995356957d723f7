import { limitQuery, limitView, setLimit, type LimitView } from '@muster/contracts';
import { Body, Controller, Delete, Get, HttpCode, Param, Put, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires, visibleProjects } from '#platform/http';
import { RemoveLimit } from '../commands/remove-limit.ts';
import { SetLimit } from '../commands/set-limit.ts';
import { ListLimits } from '../queries/list-limits.ts';
import * as schemas from './schemas.ts';

@ApiTags('limits')
@Controller('api/limits')
export class LimitsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @Requires('limit.read')
  @ApiOperation({ summary: 'How many tasks may run at once or begin in a while, and how many do' })
  @ApiResponse({ status: 200, standardSchema: z.object({ items: z.array(limitView) }) })
  async list(
    @CurrentActor() actor: Actor,
    @Query({ schema: limitQuery }) q: z.output<typeof limitQuery>,
  ): Promise<{ items: LimitView[] }> {
    const projectIds = q.projectId === undefined ? visibleProjects(actor, 'limit.read') : [q.projectId];
    return { items: await this.queries.execute(new ListLimits(actor.teamId, projectIds)) };
  }

  @Put()
  @HttpCode(200)
  @Requires('limit.manage')
  @ApiOperation({ summary: 'Limit tasks by project, capability and agent; again for the same ones replaces the limit' })
  @ApiResponse({ status: 200, standardSchema: limitView })
  set(@CurrentActor() actor: Actor, @Body({ schema: setLimit }) body: z.output<typeof setLimit>): Promise<LimitView> {
    return this.commands.execute(new SetLimit(actor, body));
  }

  @Delete(':limitId')
  @Requires('limit.manage')
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a limit; what it held back may begin at once' })
  remove(@CurrentActor() actor: Actor, @Param('limitId', { schema: schemas.limitId }) limitId: string): Promise<void> {
    return this.commands.execute(new RemoveLimit(actor, limitId));
  }
}
