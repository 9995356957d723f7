import { Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE, DiscoveryModule } from '@nestjs/core';
import { CachingModule } from '#platform/caching';
import { RoundsModule } from '#platform/rounds';
import { AccessGuard } from './access.guard.ts';
import { Drain } from './drain.ts';
import { IdempotencyKeys } from './idempotency-keys.ts';
import { IdempotencyInterceptor, IdempotentRequests } from './idempotent.ts';
import { OwnedIds } from './owned-ids.ts';
import { ProblemFilter } from './problem.filter.ts';
import { SocketAdapter } from './socket-adapter.ts';
import { validationPipe } from './validation.ts';

/** What every route has: the guard, the schema check, errors as problem+json, idempotency where it is asked for. */
@Global()
@Module({
  imports: [CachingModule, DiscoveryModule, RoundsModule],
  providers: [
    OwnedIds,
    IdempotencyInterceptor,
    IdempotentRequests,
    IdempotencyKeys,
    Drain,
    SocketAdapter,
    { provide: APP_GUARD, useClass: AccessGuard },
    { provide: APP_FILTER, useClass: ProblemFilter },
    { provide: APP_PIPE, useFactory: validationPipe },
  ],
  exports: [OwnedIds, IdempotencyInterceptor, IdempotentRequests, IdempotencyKeys, Drain, SocketAdapter],
})
export class HttpModule {}
