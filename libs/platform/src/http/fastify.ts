import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '#platform/config';
import { InvalidRequest } from './http.errors.ts';
import { isNestedTooDeep, maxNesting } from './nesting.ts';
import { pathOf, toProblem } from './problem.filter.ts';
import { traceIdOf } from './request.ts';

/** Raw bytes that a handler reads itself: git's own protocol. They never sit in memory as a whole. */
const streamed = /^application\/x-git-[a-z-]+$/;
/** Raw bytes as a Buffer, up to the body limit. */
const buffered = ['application/octet-stream', 'application/zip'];

const isStream = (body: object): boolean => 'pipe' in body && typeof body.pipe === 'function';

/** As long as a trace id. Node makes UUIDs by the hundred; random bytes are a call into the system each time. */
const newRequestId = (): string => randomUUID().replaceAll('-', '');
const problemType = 'application/problem+json';

/** What is sent with everything, also with what reaches no route. */
const guardedHeaders = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
} as const;

const dataHeaders = { ...guardedHeaders, 'content-security-policy': "default-src 'none'; frame-ancestors 'none'" };
const apiHeaders = { ...dataHeaders, 'cache-control': 'no-store' };
/** The docs page brings its own scripts and styles; everything else is data. */
const docsHeaders = {
  ...guardedHeaders,
  'content-security-policy':
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'",
};
function headersFor(url: string): Record<string, string> {
  if (!url.startsWith('/api/')) return dataHeaders;
  return url.startsWith('/api/docs') ? docsHeaders : apiHeaders;
}

/** Node gives up on what is no HTTP before there is a request: the answer is written by hand, and the connection ends with it. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const status = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code ?? ''] ?? 400;
  const problem = toProblem(Object.assign(new Error(error.message), { statusCode: status, code: error.code }));
  const body = JSON.stringify({ ...problem, traceId: newRequestId() });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${problemType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroy(error);
}

/** Fastify as Muster serves it: limits, request ids, security headers, the body types that rooms read. */
export function httpAdapter(config: Config): FastifyAdapter {
  const adapter = new FastifyAdapter({
    bodyLimit: config.bodyLimitBytes,
    genReqId: newRequestId,
    clientErrorHandler: refuseConnection,
    // No filter sees what fails before it has a route.
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      const problem = { ...toProblem(error), instance: pathOf(request.url), traceId: traceIdOf(request) };
      void reply.headers(guardedHeaders).status(problem.status).type(problemType).send(JSON.stringify(problem));
    },
    // Middleware in the manner of Express: there is none, and every request would walk through the place for it.
    skipMiddie: true,
    multipart: false,
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
    void reply.headers(headersFor(request.url)).header('x-trace-id', traceIdOf(request));
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
