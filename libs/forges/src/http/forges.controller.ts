import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  type ForgeRequest,
  forgeRequest,
  type ForgeSecret,
  forgeSecret,
  type ForgeView,
  forgeView,
  pageOf,
  pageQuery,
  setForge,
  type WebhookView,
  webhookView,
} from '@muster/contracts';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import type { Page } from '#kernel';
import { CurrentActor, Requires } from '#platform/http';
import { LookAtRequest } from '../commands/look-at-request.ts';
import { RemoveForge } from '../commands/remove-forge.ts';
import { RenewWebhookSecret } from '../commands/renew-webhook-secret.ts';
import { SetForge } from '../commands/set-forge.ts';
import { ListRequests } from '../queries/list-requests.ts';
import { ListWebhooks } from '../queries/list-webhooks.ts';
import { ShowForge } from '../queries/show-forge.ts';

const listQuery = pageQuery.strict();
const requestsQuery = pageQuery.extend({ state: forgeRequest.shape.state.optional() }).strict();

@ApiTags('projects')
@Controller('api/projects/:projectId/forge')
export class ForgesController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @Requires('project.read')
  @ApiOperation({ summary: 'Where the project lives on GitHub or GitLab, and what it has not been told yet' })
  @ApiResponse({ status: 200, standardSchema: forgeView })
  show(@Param('projectId') projectId: string): Promise<ForgeView> {
    return this.queries.execute(new ShowForge(projectId));
  }

  @Put()
  @Requires('project.manage')
  @ApiOperation({ summary: 'Name the repository, and which of the operator’s accounts is used for it' })
  @ApiResponse({ status: 200, standardSchema: forgeView })
  set(
    @CurrentActor() actor: Actor,
    @Param('projectId') projectId: string,
    @Body({ schema: setForge }) body: z.output<typeof setForge>,
  ): Promise<ForgeView> {
    return this.commands.execute(new SetForge(projectId, body, actor));
  }

  @Post('secret')
  @HttpCode(201)
  @Requires('project.manage')
  @ApiOperation({ summary: 'A new secret for webhooks, shown this once; the one before it ends' })
  @ApiResponse({ status: 201, standardSchema: forgeSecret })
  renewSecret(@CurrentActor() actor: Actor, @Param('projectId') projectId: string): Promise<ForgeSecret> {
    return this.commands.execute(new RenewWebhookSecret(projectId, actor));
  }

  @Get('webhooks')
  @Requires('project.read')
  @ApiOperation({ summary: 'What the forge has sent in the last 30 days, and what became of it' })
  @ApiResponse({ status: 200, standardSchema: pageOf(webhookView) })
  webhooks(
    @Param('projectId') projectId: string,
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
  ): Promise<Page<WebhookView>> {
    return this.queries.execute(new ListWebhooks(projectId, query));
  }

  @Get('requests')
  @Requires('project.read')
  @ApiOperation({
    summary:
      'Pull and merge requests there, what became of each here, and why one is not taken or could not be looked at',
  })
  @ApiResponse({ status: 200, standardSchema: pageOf(forgeRequest) })
  requests(
    @Param('projectId') projectId: string,
    @Query({ schema: requestsQuery }) query: z.output<typeof requestsQuery>,
  ): Promise<Page<ForgeRequest>> {
    return this.queries.execute(new ListRequests(projectId, query));
  }

  @Post('requests/:requestId/look')
  @HttpCode(202)
  @Requires('project.manage')
  @ApiOperation({ summary: 'Look at it now, also when it was given up' })
  @ApiResponse({ status: 202, standardSchema: forgeRequest })
  look(@Param('projectId') projectId: string, @Param('requestId') requestId: string): Promise<ForgeRequest> {
    return this.commands.execute(new LookAtRequest(projectId, requestId));
  }

  @Delete()
  @HttpCode(204)
  @Requires('project.manage')
  remove(@CurrentActor() actor: Actor, @Param('projectId') projectId: string): Promise<void> {
    return this.commands.execute(new RemoveForge(projectId, actor));
  }
}
