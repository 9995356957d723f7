import { Controller, HttpCode, Param, Post, Req } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { type WebhookReceipt, webhookReceipt } from '@muster/contracts';
import { type MusterRequest, Public } from '#platform/http';
import { ReceiveWebhook } from '../commands/receive-webhook.ts';
import { rawBodyOf } from './raw-webhooks.ts';

@ApiTags('projects')
@Controller('api/forges')
export class WebhooksController {
  constructor(private readonly commands: CommandBus) {}

  @Post(':forgeId/webhook')
  @HttpCode(202)
  @Public()
  @ApiOperation({
    summary: 'What a forge sends when something has happened there; signed with the secret of this address',
  })
  @ApiResponse({ status: 202, standardSchema: webhookReceipt })
  receive(@Param('forgeId') forgeId: string, @Req() request: MusterRequest): Promise<WebhookReceipt> {
    return this.commands.execute(new ReceiveWebhook(forgeId, { headers: request.headers, body: rawBodyOf(request) }));
  }
}
