import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  type ApiKeyCreated,
  apiKeyCreated,
  type ApiKeyView,
  apiKeyView,
  createApiKey,
  idOf,
  pageOf,
  pageQuery,
} from '@muster/contracts';
import type { z } from 'zod';
import type { Page } from '#kernel';
import type { Actor } from '#messages/auth';
import { CurrentActor, Requires, visibleProjects } from '#platform/http';
import { CreateApiKey } from '../commands/create-api-key.ts';
import { RevokeApiKey } from '../commands/revoke-api-key.ts';
import { ListApiKeys } from '../queries/list-api-keys.ts';

const keyId = idOf('apiKey');
const listQuery = pageQuery.strict();

@ApiTags('keys')
@Controller('api/keys')
export class KeysController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  /** Not repeatable by Idempotency-Key: a kept answer would be a kept secret. */
  @Post()
  @Requires('key.manage', { scope: 'any' })
  @ApiResponse({ status: 201, standardSchema: apiKeyCreated })
  create(
    @Body({ schema: createApiKey }) body: z.output<typeof createApiKey>,
    @CurrentActor() actor: Actor,
  ): Promise<ApiKeyCreated> {
    return this.commands.execute(new CreateApiKey(actor, body));
  }

  @Get()
  @Requires('key.read')
  @ApiResponse({ status: 200, standardSchema: pageOf(apiKeyView) })
  list(
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @CurrentActor() actor: Actor,
  ): Promise<Page<ApiKeyView>> {
    const visible = visibleProjects(actor, 'key.read');
    return this.queries.execute(new ListApiKeys({ ...query, teamId: actor.teamId, visible }));
  }

  @Delete(':keyId')
  @HttpCode(204)
  @Requires('key.manage')
  revoke(@Param('keyId', { schema: keyId }) id: string, @CurrentActor() actor: Actor): Promise<void> {
    return this.commands.execute(new RevokeApiKey(actor, id));
  }
}
