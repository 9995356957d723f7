import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { MusterLogger } from '#observability';
import { loadConfig } from '#platform/config';
import { Database } from '#platform/database';
import type { Room } from '../../apps/server/src/rooms.ts';
import { startServer } from '../../apps/server/src/server.ts';
import { testDatabase, type TestDatabase } from './database.ts';

export interface TestServer {
  readonly url: string;
  readonly app: NestFastifyApplication;
  readonly database: Database;
  readonly dataDir: string;
  /** An access token of the first administrator; empty when the auth room was left out. */
  readonly admin: { readonly token: string };
  /** JSON in, JSON out, as the administrator unless another token is given. */
  request(
    method: string,
    path: string,
    body?: unknown,
    options?: { token?: string | null; headers?: Record<string, string> },
  ): Promise<TestResponse>;
  close(): Promise<void>;
}
export interface TestResponse {
  readonly status: number;
  readonly headers: Headers;
  // Whatever the route answers; tests look into it freely.
  readonly body: never;
}

const password = 'a password for tests';

/** The real server on a free port, with its own clone of the database and its own data folder. */
export async function startApp(
  options: {
    readonly modules?: readonly Room[];
    readonly env?: Readonly<Record<string, string>>;
    /** Somebody else's, who drops it: for several servers on one database. */
    readonly database?: TestDatabase;
    /** Somebody else's, who removes it: for a server that comes back. */
    readonly dataDir?: string;
  } = {},
): Promise<TestServer> {
  const database = options.database ?? (await testDatabase());
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'muster-app-')));
  const config = loadConfig({
    MUSTER_PORT: '0',
    MUSTER_DATA_DIR: dataDir,
    DATABASE_URL: database.url,
    MUSTER_ADMIN_PASSWORD: password,
    MUSTER_VERIFIERS: '0',
    MUSTER_LOG_LEVEL: 'silent',
    ...options.env,
  });
  const close = async (): Promise<void> => {
    if (options.database === undefined) await database.drop();
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
  };
  // Quiet unless a test that is being looked into asks for a level.
  const logger = options.env?.['MUSTER_LOG_LEVEL'] === undefined ? false : new MusterLogger(config);
  const server = await startServer(config, logger, options.modules).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const request = async (
    method: string,
    path: string,
    body: unknown,
    token: string | null,
    headers: Record<string, string> = {},
  ): Promise<TestResponse> => {
    const response = await fetch(server.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, body: (json ? JSON.parse(text) : text) as never };
  };

  const login = await request('POST', '/api/auth/login', { email: config.adminEmail, password }, null);
  const { accessToken } = login.body as { accessToken?: string };
  const token = accessToken ?? '';
  return {
    url: server.url,
    app: server.app,
    database: server.app.get(Database),
    dataDir,
    admin: { token },
    request: (method, path, body, more = {}) =>
      request(method, path, body, more.token === undefined ? token : more.token, more.headers),
    close: async () => {
      await server.drain();
      await close();
    },
  };
}
