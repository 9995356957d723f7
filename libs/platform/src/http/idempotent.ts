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
import { IdempotencyKeyReused, InvalidRequest, KeyTaken, RequestInProgress } from './http.errors.ts';
import { type IdempotencyKey, IdempotencyKeys, type KeptAnswer } from './idempotency-keys.ts';
import { pathOf } from './problem.filter.ts';
import type { MusterRequest } from './request.ts';

/** What tells a request from others: with it, its answer can be kept by whoever makes what it asks for. */
export interface RequestKey {
  readonly route: string;
  readonly key: string;
  /** Of its body. */
  readonly hash: string;
}

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

  /**
   * The same for work that keeps its answer itself, with status 201 and in the commit that makes what was asked for: nothing is written
   * before and nothing after it, and a request that comes while the first is still being answered waits for its commit.
   * @param work `made` is false where something with that key was there already, and nothing was kept
   */
  async answerKept(
    request: MusterRequest,
    reply: FastifyReply,
    work: (key: RequestKey | null) => Promise<{ readonly body: unknown; readonly made: boolean }>,
  ): Promise<unknown> {
    const key = request.headers['idempotency-key'];
    if (key === undefined || request.actor === undefined) return (await work(null)).body;
    const { id, requestHash } = keyOf(request, request.actor, key);
    let found: unknown;
    try {
      const done = await work({ route: id.route, key: id.key, hash: requestHash });
      if (done.made) return done.body;
      found = done.body;
    } catch (error) {
      const kept = await this.keys.kept(id);
      if (kept !== null) return replayed(reply, kept, requestHash);
      // Forgotten since the work met it.
      throw error instanceof KeyTaken ? new RequestInProgress() : error;
    }
    const kept = await this.keys.kept(id);
    // It was made in another way, or so long ago that the answer is forgotten.
    return kept === null ? found : replayed(reply, kept, requestHash);
  }

  private async once(
    request: MusterRequest,
    actor: Actor,
    reply: FastifyReply,
    key: string | readonly string[],
    work: () => Promise<unknown>,
  ): Promise<unknown> {
    const { id, requestHash } = keyOf(request, actor, key);
    if (!(await this.keys.claim(id, requestHash))) {
      const kept = await this.keys.kept(id);
      if (kept === null) throw new RequestInProgress();
      return replayed(reply, kept, requestHash);
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

function keyOf(
  request: MusterRequest,
  actor: Actor,
  key: string | readonly string[],
): { readonly id: IdempotencyKey; readonly requestHash: string } {
  if (typeof key !== 'string' || key.length < 1 || key.length > 200)
    throw new InvalidRequest([{ path: 'Idempotency-Key', message: 'must be 1 to 200 characters' }]);
  return {
    id: { teamId: actor.teamId, actorId: actor.id, route: `${request.method} ${pathOf(request.url)}`, key },
    requestHash: hash('sha256', JSON.stringify(request.body ?? null), 'hex'),
  };
}

function replayed(reply: FastifyReply, kept: KeptAnswer, requestHash: string): unknown {
  if (kept.request_hash !== requestHash) throw new IdempotencyKeyReused();
  if (kept.status === null) throw new RequestInProgress();
  void reply.status(kept.status).header('idempotent-replay', 'true');
  return kept.body;
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
