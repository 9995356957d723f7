import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { remoteDirection, type RemoteView, remoteView, setRemote } from '@muster/contracts';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import { ListRemotes } from '#messages/projects';
import { CurrentActor, Requires } from '#platform/http';
import { RemoveRemote } from '../commands/remove-remote.ts';
import { SetRemote } from '../commands/set-remote.ts';
import { SyncRemote } from '../commands/sync-remote.ts';

type Direction = z.output<typeof remoteDirection>;

@ApiTags('projects')
@Controller('api/projects/:projectId/remotes')
export class RemotesController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @Requires('project.read')
  @ApiOperation({ summary: 'The repositories elsewhere that the project keeps in step with' })
  @ApiResponse({ status: 200, standardSchema: z.object({ items: z.array(remoteView) }) })
  async list(@Param('projectId') projectId: string): Promise<{ items: RemoteView[] }> {
    return { items: await this.queries.execute(new ListRemotes(projectId)) };
  }

  @Put(':direction')
  @Requires('project.manage')
  @ApiOperation({ summary: 'Take what is new from a repository elsewhere, or push what has landed to one' })
  @ApiResponse({ status: 200, standardSchema: remoteView })
  set(
    @CurrentActor() actor: Actor,
    @Param('projectId') projectId: string,
    @Param('direction', { schema: remoteDirection }) direction: Direction,
    @Body({ schema: setRemote }) body: z.output<typeof setRemote>,
  ): Promise<RemoteView> {
    return this.commands.execute(new SetRemote(projectId, direction, body, actor));
  }

  @Post(':direction/sync')
  @HttpCode(200)
  @Requires('project.manage')
  @ApiOperation({ summary: 'Look now whether both are in step, and do what is missing' })
  @ApiResponse({ status: 200, standardSchema: remoteView })
  sync(
    @Param('projectId') projectId: string,
    @Param('direction', { schema: remoteDirection }) direction: Direction,
  ): Promise<RemoteView> {
    return this.commands.execute(new SyncRemote(projectId, direction));
  }

  @Delete(':direction')
  @HttpCode(204)
  @Requires('project.manage')
  remove(
    @CurrentActor() actor: Actor,
    @Param('projectId') projectId: string,
    @Param('direction', { schema: remoteDirection }) direction: Direction,
  ): Promise<void> {
    return this.commands.execute(new RemoveRemote(projectId, direction, actor));
  }
}
