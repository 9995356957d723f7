import { createHash } from 'node:crypto';
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
import { catchError, from, map, mergeMap, type Observable, of, throwError } from 'rxjs';
import { IdempotencyKeyReused, InvalidRequest, RequestInProgress } from './http.errors.ts';
import { IdempotencyKeys } from './idempotency-keys.ts';
import type { MusterRequest } from './request.ts';

/**
 * Keeps the answer to the first request with an Idempotency-Key and gives it to every repetition. A request that failed
 * keeps nothing. One that died with its server is let through again after a minute.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(private readonly keys: IdempotencyKeys) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<MusterRequest>();
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    const key = request.headers['idempotency-key'];
    if (key === undefined || request.actor === undefined) return next.handle();
    if (typeof key !== 'string' || key.length < 1 || key.length > 200) {
      throw new InvalidRequest([{ path: 'Idempotency-Key', message: 'must be 1 to 200 characters' }]);
    }
    const route = `${request.method} ${request.url.split('?', 1)[0]}`;
    const hash = createHash('sha256')
      .update(JSON.stringify(request.body ?? null))
      .digest('hex');
    const { teamId, id: actorId } = request.actor;
    const id = { teamId, actorId, route, key };

    if (!(await this.keys.claim(id, hash))) {
      const kept = await this.keys.kept(id);
      if (kept !== null && kept.request_hash !== hash) throw new IdempotencyKeyReused();
      if (kept === null || kept.status === null) throw new RequestInProgress();
      void reply.status(kept.status).header('idempotent-replay', 'true');
      return of(kept.body);
    }
    return next.handle().pipe(
      mergeMap((body: unknown) => from(this.keys.keep(id, reply.statusCode, body)).pipe(map(() => body))),
      catchError((error: unknown) => from(this.keys.giveBack(id)).pipe(mergeMap(() => throwError(() => error)))),
    );
  }
}

/** For POSTs that create: the same `Idempotency-Key` with the same body gets the same answer, with another body 422. */
export const Idempotent = (): MethodDecorator =>
  applyDecorators(
    UseInterceptors(IdempotencyInterceptor),
    ApiHeader({
      name: 'Idempotency-Key',
      required: false,
      description: 'Repeat a request with the same key to get the same answer.',
    }),
  );
