import { spawn } from 'node:child_process';
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { Git, killGroup, Repositories } from '#platform/git';
import { GitPlaces } from './places.ts';

export interface GitHttpRequest {
  readonly projectId: string;
  readonly method: 'GET' | 'POST';
  readonly path: 'info/refs' | 'git-upload-pack' | 'git-receive-pack';
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly remoteUser: string;
  readonly remoteAddress: string;
  /** Null for GET. */
  readonly body: Readable | null;
  readonly env?: Record<string, string>;
  readonly settings?: readonly string[];
  readonly onEnd?: () => void;
}
export interface GitHttpResponse {
  readonly status: number;
  readonly headers: ReadonlyArray<readonly [string, string]>;
  readonly body: Readable;
}

const TIMEOUT_MS = 15 * 60_000;
const single = (value: string | string[] | undefined): string =>
  Array.isArray(value) ? (value[0] ?? '') : (value ?? '');

/** Git's own smart HTTP server as a CGI program; bytes flow both ways without being collected. */
@Injectable()
export class HttpBackend {
  constructor(
    private readonly git: Git,
    private readonly repositories: Repositories,
    private readonly places: GitPlaces,
  ) {}

  async answer(request: GitHttpRequest): Promise<GitHttpResponse> {
    const leave = await this.places.enter().catch((error: unknown) => {
      request.onEnd?.();
      throw error;
    });
    const dir = this.repositories.path(request.projectId);
    const protocol = single(request.headers['git-protocol']);
    const length = single(request.headers['content-length']);
    const encoding = single(request.headers['content-encoding']);
    const settings = (request.settings ?? []).flatMap((setting) => ['-c', setting]);
    const child = spawn('git', [...this.git.prefix(), ...settings, 'http-backend'], {
      cwd: dir,
      env: this.git.environment(dir, {
        GIT_PROJECT_ROOT: this.repositories.folder,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: `/${request.projectId}.git/${request.path}`,
        REQUEST_METHOD: request.method,
        QUERY_STRING: request.query,
        CONTENT_TYPE: single(request.headers['content-type']),
        REMOTE_USER: request.remoteUser,
        REMOTE_ADDR: request.remoteAddress,
        ...(/^\d+$/.test(length) ? { CONTENT_LENGTH: length } : {}),
        ...(encoding === 'gzip' || encoding === 'x-gzip' ? { HTTP_CONTENT_ENCODING: 'gzip' } : {}),
        ...(/^[a-z0-9=:]{1,100}$/.test(protocol) ? { GIT_PROTOCOL: protocol } : {}),
        ...request.env,
      }),
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    const timer = setTimeout(() => killGroup(child), TIMEOUT_MS);
    child.once('close', () => {
      leave();
      clearTimeout(timer);
      request.onEnd?.();
    });
    child.stdin.on('error', () => undefined);
    if (request.body === null) child.stdin.end();
    else {
      // The client hung up: git need not go on.
      request.body.once('error', () => killGroup(child));
      request.body.once('aborted', () => killGroup(child));
      request.body.pipe(child.stdin);
    }
    return readAnswer(child.stdout, () => killGroup(child), new Promise((_, reject) => child.once('error', reject)));
  }
}

/** A CGI answer: header lines, an empty line, the body. */
async function readAnswer(stdout: Readable, stop: () => void, failed: Promise<never>): Promise<GitHttpResponse> {
  failed.catch(() => undefined);
  let head: Buffer = Buffer.alloc(0);
  let end = -1;
  await Promise.race([
    failed,
    new Promise<void>((resolve, reject) => {
      const onData = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk]);
        end = head.indexOf('\r\n\r\n');
        if (end < 0 && head.length > 64 * 1024) return reject(new Error('git http-backend sent no headers'));
        if (end < 0) return;
        stdout.off('data', onData);
        stdout.pause();
        resolve();
      };
      stdout.on('data', onData);
      stdout.once('end', () => reject(new Error('git http-backend ended without an answer')));
    }),
  ]);
  let status = 200;
  const headers: Array<readonly [string, string]> = [];
  for (const line of head.subarray(0, end).toString('latin1').split('\r\n')) {
    const colon = line.indexOf(':');
    const [name, value] = [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    if (name === 'status') status = Number.parseInt(value, 10);
    else headers.push([name, value]);
  }
  // What came behind the headers goes first; the rest is read when the client has taken that.
  const rest = head.subarray(end + 4);
  if (rest.length > 0) stdout.unshift(rest);
  stdout.once('close', () => {
    if (!stdout.readableEnded) stop();
  });
  return { status, headers, body: stdout };
}
