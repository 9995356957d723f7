import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  addUser,
  createTeam,
  idOf,
  pageOf,
  pageQuery,
  setRole,
  teamView,
  type TeamView,
  userView,
  type UserView,
} from '@muster/contracts';
import type { z } from 'zod';
import type { Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires } from '#platform/http';
import { AddUser } from '../commands/add-user.ts';
import { CreateTeam } from '../commands/create-team.ts';
import { RemoveUser } from '../commands/remove-user.ts';
import { SetRole } from '../commands/set-role.ts';
import { ListUsers } from '../queries/list-users.ts';

const userId = idOf('user');
const projectId = idOf('project');
const listQuery = pageQuery.strict();

/** No Idempotency-Key where a password is sent: its kept hash of the body would be a quick hash of the password. */
@ApiTags('users')
@Controller('api')
export class UsersController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post('teams')
  @Requires('team.manage')
  @ApiResponse({ status: 201, standardSchema: teamView })
  createTeam(
    @Body({ schema: createTeam }) body: z.output<typeof createTeam>,
    @CurrentActor() actor: Actor,
  ): Promise<TeamView> {
    return this.commands.execute(new CreateTeam(actor, body));
  }

  @Post('users')
  @Requires('member.manage')
  @ApiResponse({ status: 201, standardSchema: userView })
  add(@Body({ schema: addUser }) body: z.output<typeof addUser>, @CurrentActor() actor: Actor): Promise<UserView> {
    return this.commands.execute(new AddUser(actor, body));
  }

  @Get('users')
  @Requires('team.read', { scope: 'team' })
  @ApiResponse({ status: 200, standardSchema: pageOf(userView) })
  list(
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<Page<UserView>> {
    return this.queries.execute(new ListUsers({ ...query, teamId: actor.teamId, projectId: null }));
  }

  @Put('users/:userId/role')
  @HttpCode(204)
  @Requires('member.manage')
  setTeamRole(
    @Param('userId', { schema: userId }) id: string,
    @Body({ schema: setRole }) body: z.output<typeof setRole>,
    @CurrentActor() actor: Actor,
  ): Promise<void> {
    return this.commands.execute(new SetRole(actor, id, null, body.role));
  }

  @Delete('users/:userId')
  @HttpCode(204)
  @Requires('member.manage')
  remove(@Param('userId', { schema: userId }) id: string, @CurrentActor() actor: Actor): Promise<void> {
    return this.commands.execute(new RemoveUser(actor, id));
  }

  @Get('projects/:projectId/members')
  @Requires('project.read')
  @ApiResponse({ status: 200, standardSchema: pageOf(userView) })
  members(
    @Param('projectId', { schema: projectId }) project: string,
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<Page<UserView>> {
    return this.queries.execute(new ListUsers({ ...query, teamId: actor.teamId, projectId: project }));
  }

  @Put('projects/:projectId/members/:userId')
  @HttpCode(204)
  @Requires('member.manage')
  setProjectRole(
    @Param('projectId', { schema: projectId }) project: string,
    @Param('userId', { schema: userId }) id: string,
    @Body({ schema: setRole }) body: z.output<typeof setRole>,
    @CurrentActor() actor: Actor,
  ): Promise<void> {
    return this.commands.execute(new SetRole(actor, id, project, body.role));
  }

  @Delete('projects/:projectId/members/:userId')
  @HttpCode(204)
  @Requires('member.manage')
  removeProjectRole(
    @Param('projectId', { schema: projectId }) project: string,
    @Param('userId', { schema: userId }) id: string,
    @CurrentActor() actor: Actor,
  ): Promise<void> {
    return this.commands.execute(new SetRole(actor, id, project, null));
  }
}
