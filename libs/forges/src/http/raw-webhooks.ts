import { Readable } from 'node:stream';
import type { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Forges send less; who sends more is not known yet when it has to be read. */
const MAX_BYTES = 5 * 1024 * 1024;
const address = /^\/api\/forges\/[^/]+\/webhook(\?|$)/;
const bodies = new WeakMap<FastifyRequest, Buffer>();

/** Signatures are about bytes: those of webhooks are kept beside what is parsed of them. A process without HTTP has no adapter. */
export function keepRawWebhooks({ httpAdapter }: HttpAdapterHost): void {
  httpAdapter?.getInstance<FastifyInstance>().addHook('preParsing', (request, reply, payload, done) => {
    // Every request comes by here: the others wait for nothing.
    if (request.method !== 'POST' || !address.test(request.url)) done(null, payload);
    else
      keep(request, reply, payload as Readable).then(
        (kept) => done(null, kept),
        (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
      );
  });
}

async function keep(request: FastifyRequest, reply: FastifyReply, payload: Readable): Promise<Readable> {
  const chunks: Buffer[] = [];
  let size = 0;
  // The answer needs the connection that the rest of the body is still coming through.
  for await (const chunk of payload.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > MAX_BYTES) {
      void reply.header('connection', 'close');
      throw Object.assign(new Error('The webhook is too large.'), { statusCode: 413 });
    }
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  bodies.set(request, body);
  return Object.assign(Readable.from(body.length === 0 ? [] : [body]), { receivedEncodedLength: body.length });
}

export const rawBodyOf = (request: FastifyRequest): Buffer => bodies.get(request) ?? Buffer.alloc(0);
