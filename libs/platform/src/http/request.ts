import { trace } from '@opentelemetry/api';
import type { FastifyRequest } from 'fastify';
import type { Actor } from '#messages/auth';

export type MusterRequest = FastifyRequest & { actor?: Actor };

/** What an error's `traceId` says: the trace that is running or was sent along, else this request's own id. */
export function traceIdOf(request: Pick<FastifyRequest, 'headers' | 'id'>): string {
  const running = trace.getActiveSpan()?.spanContext().traceId;
  if (running !== undefined) return running;
  const sent = request.headers['traceparent'];
  const traceId = typeof sent === 'string' ? /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(sent)?.[1] : undefined;
  return traceId ?? request.id;
}
