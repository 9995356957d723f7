import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { assignAgent, assignmentView, type AssignmentView } from '@muster/contracts';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Idempotent, Requires } from '#platform/http';
import { AssignAgent } from '../commands/assign-agent.ts';
import { UnassignAgent } from '../commands/unassign-agent.ts';
import { ListAssignments } from '../queries/list-assignments.ts';

@ApiTags('projects')
@Controller('api/projects/:projectId/agents')
export class AssignmentsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @Requires('assignment.read')
  @ApiOperation({ summary: 'The agents that may be given work on a project' })
  @ApiResponse({ status: 200, standardSchema: z.object({ items: z.array(assignmentView) }) })
  async list(@Param('projectId') projectId: string): Promise<{ items: AssignmentView[] }> {
    return { items: await this.queries.execute(new ListAssignments(projectId)) };
  }

  @Post()
  @Requires('assignment.manage')
  @Idempotent()
  @ApiOperation({ summary: 'Assign an agent with capabilities; again for the same agent replaces them' })
  @ApiResponse({ status: 201, standardSchema: assignmentView })
  assign(
    @CurrentActor() actor: Actor,
    @Param('projectId') projectId: string,
    @Body({ schema: assignAgent }) body: z.output<typeof assignAgent>,
  ): Promise<AssignmentView> {
    return this.commands.execute(new AssignAgent(projectId, body, actor.id));
  }

  @Delete(':agent')
  @Requires('assignment.manage')
  @HttpCode(204)
  @ApiOperation({ summary: 'Unassign an agent, by its name or the id of its assignment' })
  unassign(
    @CurrentActor() actor: Actor,
    @Param('projectId') projectId: string,
    @Param('agent') agent: string,
  ): Promise<void> {
    return this.commands.execute(new UnassignAgent(projectId, agent, actor.id));
  }
}
