import { Readable } from 'node:stream';
import type { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import type { MusterRequest } from '#platform/http';

/** Archives may be larger than what one request may hold in memory. */
const streamed = ['application/x-tar', 'application/gzip', 'application/x-gzip'];
/** Untyped bytes are collected, up to the body limit, as everywhere. */
export const archiveTypes = [...streamed, 'application/octet-stream'];

/** Leaves archives to their route, unread. A process without HTTP (a worker) has no adapter. */
export function streamArchives({ httpAdapter }: HttpAdapterHost): void {
  if (httpAdapter === undefined) return;
  const fastify = httpAdapter.getInstance<FastifyInstance>();
  for (const type of streamed) {
    if (fastify.hasContentTypeParser(type)) fastify.removeContentTypeParser(type);
    fastify.addContentTypeParser(type, (_request, _payload, done) => done(null, undefined));
  }
}

export const archiveOf = ({ body, raw }: MusterRequest): Readable =>
  Buffer.isBuffer(body) ? Readable.from(body) : raw;
