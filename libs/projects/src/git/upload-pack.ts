import { type ChildProcess, spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Git, killGroup, Repositories } from '#platform/git';
import { GitRequestInvalid } from '../projects.errors.ts';
import { GitPlaces } from './places.ts';

const unpack = promisify(gunzip);
/** What is longer git streams, and so does http-backend. */
const LONGEST_QUESTION = 1024 * 1024;
/** As git's own `http.maxRequestBuffer`. */
const LONGEST_UNPACKED = 10 * 1024 * 1024;
const TIMEOUT_MS = 15 * 60_000;
const CAPABILITIES_KEPT = 1_000;
/** The packet behind which no further questions come: the answer holds the pack. */
const DONE = '0009done\n';
const notKept: OutgoingHttpHeaders = {
  expires: 'Fri, 01 Jan 1980 00:00:00 GMT',
  pragma: 'no-cache',
  'cache-control': 'no-cache, max-age=0, must-revalidate',
};

const isVersion2 = ({ 'git-protocol': protocol }: IncomingHttpHeaders): boolean =>
  typeof protocol === 'string' && protocol.split(':').includes('version=2');

/**
 * Clones and fetches in protocol 2, which every git has spoken since 2020. Git's http-backend would start git to ask git; here it is asked
 * at once, and the pack goes from git's hands into the client's connection without passing through this process.
 */
@Injectable()
export class UploadPack {
  private readonly capabilities = new Map<string, { settings: string; said: Buffer }>();

  constructor(
    private readonly git: Git,
    private readonly repositories: Repositories,
    private readonly places: GitPlaces,
  ) {}

  /** Older protocols, and questions whose length is not known beforehand, are http-backend's. */
  understands({ 'content-length': length, 'content-encoding': encoding, ...headers }: IncomingHttpHeaders): boolean {
    const small = length !== undefined && Number(length) <= LONGEST_QUESTION;
    return isVersion2(headers) && small && (encoding === undefined || isGzip(encoding));
  }

  /** What is offered before anything was asked: it follows from git and the repository's settings. False: another protocol. */
  async offer(projectId: string, headers: IncomingHttpHeaders, reply: FastifyReply): Promise<boolean> {
    if (!isVersion2(headers)) return false;
    const said = await this.capabilitiesOf(projectId);
    await reply
      .headers({ ...notKept, 'content-type': 'application/x-git-upload-pack-advertisement' })
      .status(200)
      .send(said);
    return true;
  }

  async answer(projectId: string, body: Readable, headers: IncomingHttpHeaders, reply: FastifyReply): Promise<void> {
    const leave = await this.places.enter();
    try {
      const question = await questionOf(body, headers);
      const { socket } = reply.raw;
      const answerHeaders = { ...notKept, 'content-type': 'application/x-git-upload-pack-result' };
      // Encrypted bytes are ours to make.
      const direct = question.includes(DONE) && socket instanceof Socket && !(socket instanceof TLSSocket);
      if (!direct) {
        const child = this.start(projectId, ['pipe', 'pipe', 'ignore'], question, leave);
        await started(child);
        child.stdout?.once('close', () => killGroup(child));
        await reply.headers(answerHeaders).status(200).send(child.stdout);
        return;
      }
      await this.handOver(projectId, { question, answerHeaders, socket, reply, leave });
    } catch (error) {
      leave();
      throw error;
    }
  }

  /**
   * Git writes into the connection itself. How long the answer is nobody knows, and its chunks would be ours to make: it ends with the
   * connection. A client that sees it end early knows, since a pack ends with its own sum.
   */
  private async handOver(
    projectId: string,
    given: {
      readonly question: Buffer;
      readonly answerHeaders: OutgoingHttpHeaders;
      readonly socket: Socket;
      readonly reply: FastifyReply;
      readonly leave: () => void;
    },
  ): Promise<void> {
    const { question, answerHeaders, socket, reply, leave } = given;
    reply.hijack();
    const { raw } = reply;
    try {
      raw.removeHeader('transfer-encoding');
      for (const [name, value] of Object.entries({ ...reply.getHeaders(), ...answerHeaders, connection: 'close' }))
        if (value !== undefined) raw.setHeader(name, value);
      raw.writeHead(200);
      raw.flushHeaders();
      // Whatever this process has to say has been said before git speaks.
      await new Promise<void>((resolve, reject) =>
        socket.write('', (error) => (error instanceof Error ? reject(error) : resolve())),
      );
      const child = this.start(projectId, ['pipe', 'ignore', 'ignore', socket], question, leave);
      child.once('close', () => raw.end());
      await started(child);
    } catch {
      // The client is gone, or git could not be started: it sees an answer that ends before the pack does.
      leave();
      socket.destroy();
    }
  }

  private start(
    projectId: string,
    stdio: Array<'pipe' | 'ignore' | Socket>,
    question: Buffer,
    leave: () => void,
  ): ChildProcess {
    const dir = this.repositories.path(projectId);
    const args = [...this.git.prefix(), 'upload-pack', '--stateless-rpc', '.'];
    // As its standard output Node would make the connection one that blocks, for us too: a shell moves it there.
    const move = ['-c', 'exec git "$@" >&3 3>&-', 'git'];
    const child = spawn(
      stdio[3] === undefined ? 'git' : '/bin/sh',
      stdio[3] === undefined ? args : [...move, ...args],
      {
        cwd: dir,
        env: this.git.environment(dir, { GIT_PROTOCOL: 'version=2' }),
        stdio,
        detached: true,
      },
    );
    const timer = setTimeout(() => killGroup(child), TIMEOUT_MS);
    child.once('close', () => {
      clearTimeout(timer);
      leave();
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(question);
    return child;
  }

  private async capabilitiesOf(projectId: string): Promise<Buffer> {
    const dir = this.repositories.path(projectId);
    const { mtimeMs, size, ino } = await stat(join(dir, 'config'));
    const settings = `${mtimeMs} ${size} ${ino}`;
    const kept = this.capabilities.get(projectId);
    if (kept?.settings === settings) return kept.said;
    const { stdout } = await this.git.run(dir, ['upload-pack', '--advertise-refs', '.'], {
      env: { GIT_PROTOCOL: 'version=2' },
    });
    this.capabilities.delete(projectId);
    this.capabilities.set(projectId, { settings, said: stdout });
    const [oldest] = this.capabilities.keys();
    if (this.capabilities.size > CAPABILITIES_KEPT && oldest !== undefined) this.capabilities.delete(oldest);
    return stdout;
  }
}

const isGzip = (encoding: string | undefined): boolean => encoding === 'gzip' || encoding === 'x-gzip';

async function started(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
}

async function questionOf(body: Readable, { 'content-encoding': encoding }: IncomingHttpHeaders): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of body as AsyncIterable<Buffer>) parts.push(part);
  const sent = Buffer.concat(parts);
  if (!isGzip(encoding)) return sent;
  try {
    return await unpack(sent, { maxOutputLength: LONGEST_UNPACKED });
  } catch (cause) {
    throw new GitRequestInvalid('The compressed request cannot be unpacked, or is longer than 10 MiB unpacked.', {
      cause,
    });
  }
}
