import { type DynamicModule, Module, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { OwnedIds } from '#platform/http';
import { ReceiveWebhookHandler } from './commands/receive-webhook.ts';
import { RemoveForgeHandler } from './commands/remove-forge.ts';
import { RenewWebhookSecretHandler } from './commands/renew-webhook-secret.ts';
import { SendStatuses } from './commands/send-statuses.ts';
import { SetForgeHandler } from './commands/set-forge.ts';
import { ForgesController } from './http/forges.controller.ts';
import { LookAtRequests } from './commands/look-at-requests.ts';
import { LookAtRequestHandler } from './commands/look-at-request.ts';
import { OfferRequest } from './commands/offer-request.ts';
import { LandedThere } from './landed-there.ts';
import { TakeRequest } from './commands/take-request.ts';
import { ForgeCrashPoints, NoForgeCrashPoints } from './crash-points.ts';
import { ForgePauses } from './forge-pauses.ts';
import { ListRequestsHandler } from './queries/list-requests.ts';
import { ForgeAccess } from './forge-access.ts';
import { HeldClaims } from './held-claims.ts';
import { keepRawWebhooks } from './http/raw-webhooks.ts';
import { WebhooksController } from './http/webhooks.controller.ts';
import { ListWebhooksHandler } from './queries/list-webhooks.ts';
import { ShowForgeHandler } from './queries/show-forge.ts';
import { LookWhenSomethingBecameOfARequest } from './reactions/look-when-something-became-of-a-request.ts';
import { TellTheForgeWhatBecameOfIt } from './reactions/tell-the-forge-what-became-of-it.ts';
import { WebhookSecrets } from './webhook-secrets.ts';

const controllers = [ForgesController, WebhooksController];
const commandHandlers = [
  SetForgeHandler,
  RemoveForgeHandler,
  RenewWebhookSecretHandler,
  ReceiveWebhookHandler,
  LookAtRequestHandler,
];
const queryHandlers = [ShowForgeHandler, ListWebhooksHandler, ListRequestsHandler];
const reactions = [TellTheForgeWhatBecameOfIt, LookWhenSomethingBecameOfARequest];

@Module({
  controllers,
  providers: [
    WebhookSecrets,
    { provide: ForgeCrashPoints, useClass: NoForgeCrashPoints },
    ForgeAccess,
    ForgePauses,
    HeldClaims,
    SendStatuses,
    LookAtRequests,
    TakeRequest,
    OfferRequest,
    LandedThere,
    ...commandHandlers,
    ...queryHandlers,
    ...reactions,
  ],
})
export class ForgesModule implements OnModuleInit {
  constructor(private readonly host: HttpAdapterHost) {
    OwnedIds.register('forgeRequest', 'forge_requests');
  }

  /** The room with somebody who is told of every crash point. A server has nobody. */
  static with(crashPoints: ForgeCrashPoints): DynamicModule {
    return { module: ForgesModule, providers: [{ provide: ForgeCrashPoints, useValue: crashPoints }] };
  }

  onModuleInit(): void {
    keepRawWebhooks(this.host);
  }
}
