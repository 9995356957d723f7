import type { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';

export const archiveTypes = ['application/x-tar', 'application/gzip', 'application/x-gzip', 'application/octet-stream'];
const gitTypes = ['application/x-git-upload-pack-request', 'application/x-git-receive-pack-request'];

/** Bodies of these types are not read here: their routes stream `request.raw`. A process without HTTP has no adapter. */
export function streamBodies({ httpAdapter }: HttpAdapterHost): void {
  if (httpAdapter === undefined) return;
  const fastify = httpAdapter.getInstance<FastifyInstance>();
  for (const type of [...archiveTypes, ...gitTypes])
    if (!fastify.hasContentTypeParser(type))
      fastify.addContentTypeParser(type, (_request, _payload, done) => done(null, undefined));
}
