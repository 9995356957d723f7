import type { Problem } from '@muster/contracts';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { STATUS_CODES } from 'node:http';
import { MusterError } from '#kernel';
import { isConnectionBroken, sqlState } from '#platform/database';
import { type MusterRequest, traceIdOf } from './request.ts';

const known: Readonly<Record<number, readonly [code: string, detail: string]>> = {
  400: [
    'request.malformed',
    'The request cannot be read. Send well-formed JSON with "Content-Type: application/json".',
  ],
  404: ['request.not_found', 'There is nothing at this address. /api/docs lists what there is.'],
  405: ['request.method_not_allowed', 'This address does not answer this method. /api/docs lists what it answers.'],
  406: ['request.not_acceptable', 'The server cannot answer in any of the accepted formats.'],
  408: ['request.timeout', 'The request took too long to arrive. Send it again.'],
  413: [
    'request.too_large',
    'The body is larger than this server takes. Send less, or ask the operator to raise MUSTER_BODY_LIMIT_BYTES.',
  ],
  414: ['request.too_long', 'The address is too long. Shorten it; long values belong into a body.'],
  415: ['request.unsupported_media_type', 'Send the body as "Content-Type: application/json".'],
  431: ['request.headers_too_large', 'The headers are too large. Send fewer or shorter ones.'],
};
/** PostgreSQL asks to try again, or is out of connections. */
const passing = new Set(['40001', '40P01', '53300', '55P03']);

/** An address that cannot be decoded reaches no route, and its body is never looked at: the words of its status would mislead. */
const badAddress = [
  'request.bad_address',
  'The address cannot be read. Percent-encode what stands in it as UTF-8.',
] as const;

/** Any error as RFC 9457 problem details. What is not the caller's mistake says nothing about our insides. */
export function toProblem(error: unknown): Problem {
  if (error instanceof MusterError) {
    return {
      ...shape(error.status, error.code, error.message),
      ...(Object.keys(error.data).length > 0 ? { data: { ...error.data } } : {}),
      ...(error.errors.length > 0 ? { errors: error.errors.map((field) => ({ ...field })) } : {}),
    };
  }
  const status = statusOf(error);
  if (status !== null && status < 500) {
    const [code, detail] = (nodeCode(error) === 'FST_ERR_BAD_URL' ? badAddress : known[status]) ?? [
      'request.refused',
      'The request was refused.',
    ];
    return shape(status, code, detail);
  }
  // Text that PostgreSQL cannot hold (a NUL, a lone surrogate, a number out of range) is the caller's, wherever it got through.
  // 08P01 is a NUL's, too, where MikroORM writes values into the statement.
  const state = sqlState(error);
  if (state !== null && ['22021', '22P05', '22P02', '22003', '08P01'].includes(state)) {
    return shape(
      400,
      'request.invalid',
      'The request contains a value that cannot be stored, such as a NUL character. Remove it.',
    );
  }
  if (
    status === 503 ||
    (state !== null && passing.has(state)) ||
    nodeCode(error) === 'ECONNREFUSED' ||
    isConnectionBroken(error)
  ) {
    return shape(503, 'server.unavailable', 'The server cannot answer right now. Try again in a moment.');
  }
  return shape(500, 'server.error', 'Something went wrong on the server. Report the traceId if it happens again.');
}

const shape = (status: number, code: string, detail: string): Problem => ({
  type: `urn:muster:problem:${code}`,
  title: STATUS_CODES[status] ?? 'Error',
  status,
  code,
  detail,
});

function statusOf(error: unknown): number | null {
  if (error instanceof HttpException) return error.getStatus();
  if (error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number') return error.statusCode;
  return null;
}

const nodeCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #log = new Logger('http');

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<MusterRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const problem: Problem = { ...toProblem(error), instance: pathOf(request.url), traceId: traceIdOf(request) };
    if (problem.status >= 500) {
      this.#log.error({
        err: error,
        method: request.method,
        path: problem.instance,
        traceId: problem.traceId,
        code: problem.code,
      });
    }
    if (reply.sent || reply.raw.headersSent) {
      reply.raw.destroy();
      return;
    }
    if (problem.status === 503 || problem.code === 'request.in_progress') void reply.header('retry-after', '1');
    void reply.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
  }
}

/** The path only: a query may hold what is nobody's business. */
export const pathOf = (url: string): string => url.split('?', 1)[0] ?? url;
