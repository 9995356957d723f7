import { randomBytes } from 'node:crypto';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { Config } from '#platform/config';
import { InvalidRequest } from './http.errors.ts';
import { isNestedTooDeep, maxNesting } from './nesting.ts';
import { traceIdOf } from './request.ts';

/** Raw bytes that a handler reads itself: git's own protocol. They never sit in memory as a whole. */
const streamed = /^application\/x-git-[a-z-]+$/;
/** Raw bytes as a Buffer, up to the body limit. */
const buffered = ['application/octet-stream', 'application/zip'];

const isStream = (body: object): boolean => 'pipe' in body && typeof body.pipe === 'function';

/** Fastify as Muster serves it: limits, request ids, security headers, the body types that rooms read. */
export function httpAdapter(config: Config): FastifyAdapter {
  const adapter = new FastifyAdapter({
    bodyLimit: config.bodyLimitBytes,
    genReqId: () => randomBytes(16).toString('hex'),
    requestTimeout: 0,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 300 },
  });
  const fastify = adapter.getInstance();
  fastify.addContentTypeParser(
    streamed,
    (_request: unknown, payload: unknown, done: (error: Error | null, body?: unknown) => void) => done(null, payload),
  );
  for (const type of buffered) {
    fastify.addContentTypeParser(
      type,
      { parseAs: 'buffer' },
      (_request: unknown, body: unknown, done: (error: Error | null, body?: unknown) => void) => done(null, body),
    );
  }
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.headers({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'x-trace-id': traceIdOf(request),
    });
    // The docs page brings its own scripts and styles; everything else is data.
    const docs = request.url.startsWith('/api/docs');
    void reply.header(
      'content-security-policy',
      docs
        ? "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
        : "default-src 'none'; frame-ancestors 'none'",
    );
    if (request.url.startsWith('/api/') && !docs) void reply.header('cache-control', 'no-store');
    done();
  });
  // Before schemas look at it: they recurse.
  fastify.addHook('preValidation', (request, _reply, done) => {
    const { body } = request;
    const json = typeof body === 'object' && body !== null && !Buffer.isBuffer(body) && !isStream(body);
    if (json && isNestedTooDeep(body)) {
      done(new InvalidRequest([{ path: '', message: `is nested deeper than ${maxNesting} levels` }]));
      return;
    }
    done();
  });
  return adapter;
}
