import { hash } from 'node:crypto';
import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
  applyDecorators,
} from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { lastValueFrom, type Observable, of } from 'rxjs';
import type { Actor } from '#messages/auth';
import { IdempotencyKeyReused, InvalidRequest, RequestInProgress } from './http.errors.ts';
import { IdempotencyKeys } from './idempotency-keys.ts';
import { pathOf } from './problem.filter.ts';
import type { MusterRequest } from './request.ts';

/**
 * Keeps the answer to the first request with an Idempotency-Key and gives it to every repetition. A request that failed
 * keeps nothing. One that died with its server is let through again after a minute.
 */
@Injectable()
export class IdempotentRequests {
  constructor(private readonly keys: IdempotencyKeys) {}

  /** @param work makes the answer */
  answer(request: MusterRequest, reply: FastifyReply, work: () => Promise<unknown>): Promise<unknown> {
    const key = request.headers['idempotency-key'];
    return key === undefined || request.actor === undefined
      ? work()
      : this.once(request, request.actor, reply, key, work);
  }

  private async once(
    request: MusterRequest,
    actor: Actor,
    reply: FastifyReply,
    key: string | readonly string[],
    work: () => Promise<unknown>,
  ): Promise<unknown> {
    if (typeof key !== 'string' || key.length < 1 || key.length > 200) {
      throw new InvalidRequest([{ path: 'Idempotency-Key', message: 'must be 1 to 200 characters' }]);
    }
    const route = `${request.method} ${pathOf(request.url)}`;
    const requestHash = hash('sha256', JSON.stringify(request.body ?? null), 'hex');
    const id = { teamId: actor.teamId, actorId: actor.id, route, key };

    if (!(await this.keys.claim(id, requestHash))) {
      const kept = await this.keys.kept(id);
      if (kept !== null && kept.request_hash !== requestHash) throw new IdempotencyKeyReused();
      if (kept === null || kept.status === null) throw new RequestInProgress();
      void reply.status(kept.status).header('idempotent-replay', 'true');
      return kept.body;
    }
    try {
      const body = await work();
      await this.keys.keep(id, reply.statusCode, body);
      return body;
    } catch (error) {
      await this.keys.giveBack(id);
      throw error;
    }
  }
}

@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(private readonly requests: IdempotentRequests) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const http = context.switchToHttp();
    const [request, reply] = [http.getRequest<MusterRequest>(), http.getResponse<FastifyReply>()];
    return of(
      await this.requests.answer(request, reply, () => lastValueFrom(next.handle(), { defaultValue: undefined })),
    );
  }
}

const acceptsKey = ApiHeader({
  name: 'Idempotency-Key',
  required: false,
  description: 'Repeat a request with the same key to get the same answer.',
});

/** For POSTs that create: the same `Idempotency-Key` with the same body gets the same answer, with another body 422. */
export const Idempotent = (): MethodDecorator => applyDecorators(UseInterceptors(IdempotencyInterceptor), acceptsKey);

/** The same promise for a hot route, which asks `IdempotentRequests` itself: an interceptor costs it more than all of its own work. */
export const IdempotentByItself = (): MethodDecorator => acceptsKey;
