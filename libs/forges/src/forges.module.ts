import { Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { ReceiveWebhookHandler } from './commands/receive-webhook.ts';
import { RemoveForgeHandler } from './commands/remove-forge.ts';
import { RenewWebhookSecretHandler } from './commands/renew-webhook-secret.ts';
import { SendStatuses } from './commands/send-statuses.ts';
import { SetForgeHandler } from './commands/set-forge.ts';
import { ForgesController } from './http/forges.controller.ts';
import { ForgeAccess } from './forge-access.ts';
import { keepRawWebhooks } from './http/raw-webhooks.ts';
import { WebhooksController } from './http/webhooks.controller.ts';
import { ListWebhooksHandler } from './queries/list-webhooks.ts';
import { ShowForgeHandler } from './queries/show-forge.ts';
import { TellTheForgeWhatBecameOfIt } from './reactions/tell-the-forge-what-became-of-it.ts';
import { WebhookSecrets } from './webhook-secrets.ts';

const controllers = [ForgesController, WebhooksController];
const commandHandlers = [SetForgeHandler, RemoveForgeHandler, RenewWebhookSecretHandler, ReceiveWebhookHandler];
const queryHandlers = [ShowForgeHandler, ListWebhooksHandler];
const reactions = [TellTheForgeWhatBecameOfIt];

@Module({
  controllers,
  providers: [WebhookSecrets, ForgeAccess, SendStatuses, ...commandHandlers, ...queryHandlers, ...reactions],
})
export class ForgesModule implements OnModuleInit {
  constructor(private readonly host: HttpAdapterHost) {}

  onModuleInit(): void {
    keepRawWebhooks(this.host);
  }
}
