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
import { Database } from '#platform/database';
import { IdempotencyKeyReused, InvalidRequest, RequestInProgress } from './http.errors.ts';
import type { MusterRequest } from './request.ts';

interface Kept {
  readonly request_hash: string;
  readonly status: number | null;
  readonly body: unknown;
}

/**
 * Keeps the answer to the first request with an Idempotency-Key and gives it to every repetition. A request that failed
 * keeps nothing. One that died with its server is let through again after a minute.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(private readonly database: Database) {}

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
    const id = [request.actor.teamId, request.actor.id, route, key] as const;

    const claimed = await this.database.sql(
      `insert into idempotency_keys (team_id, actor_id, route, key, request_hash) values ($1, $2, $3, $4, $5)
       on conflict (team_id, actor_id, route, key) do update set created_at = clock_timestamp()
         where idempotency_keys.status is null and idempotency_keys.request_hash = excluded.request_hash
           and idempotency_keys.created_at < clock_timestamp() - interval '1 minute'
       returning key`,
      [...id, hash],
    );
    if (claimed.length === 0) {
      const [kept] = await this.database.sql<Kept>(
        'select request_hash, status, body from idempotency_keys where (team_id, actor_id, route, key) = ($1, $2, $3, $4)',
        id,
      );
      if (kept !== undefined && kept.request_hash !== hash) throw new IdempotencyKeyReused();
      if (kept?.status == null) throw new RequestInProgress();
      void reply.status(kept.status).header('idempotent-replay', 'true');
      return of(kept.body);
    }
    return next.handle().pipe(
      mergeMap((body: unknown) =>
        from(
          this.database.sql(
            `update idempotency_keys set status = $5, body = $6::jsonb where (team_id, actor_id, route, key) = ($1, $2, $3, $4)`,
            [...id, reply.statusCode, JSON.stringify(body ?? null)],
          ),
        ).pipe(map(() => body)),
      ),
      catchError((error: unknown) =>
        from(
          this.database.sql(
            'delete from idempotency_keys where (team_id, actor_id, route, key) = ($1, $2, $3, $4) and status is null',
            id,
          ),
        ).pipe(mergeMap(() => throwError(() => error))),
      ),
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
