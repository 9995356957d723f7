import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { testDatabase, type TestDatabase } from '#test/database';

const root = resolve(import.meta.dirname, '../..');
const password = 'a password for the packed one';

describe('the server that the build packs into one file', () => {
  let database: TestDatabase;
  let folder: string;
  let child: ChildProcess;
  let url: string;
  beforeAll(async () => {
    await promisify(execFile)(process.execPath, [join(root, 'tools', 'build.mjs')], { cwd: root });
    database = await testDatabase();
    folder = await mkdtemp(join(tmpdir(), 'muster-packed-'));
    const probe = createServer();
    await new Promise<void>((listening) => probe.listen(0, '127.0.0.1', listening));
    const { port } = probe.address() as { port: number };
    await new Promise((closed) => probe.close(closed));
    url = `http://127.0.0.1:${port}`;
    child = spawn(process.execPath, [join(root, 'dist', 'apps', 'server', 'src', 'main.js')], {
      cwd: folder,
      stdio: 'ignore',
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        DATABASE_URL: database.url,
        MUSTER_DATA_DIR: join(folder, 'data'),
        MUSTER_PORT: String(port),
        MUSTER_ADMIN_PASSWORD: password,
        MUSTER_VERIFIERS: '0',
      },
    });
    for (let tries = 0; ; tries += 1) {
      const ready = await fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (ready) break;
      if (tries > 600) throw new Error('The packed server did not become ready.');
      await new Promise((wake) => setTimeout(wake, 100));
    }
  });
  afterAll(async () => {
    child?.kill('SIGKILL');
    await database?.drop();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  const get = async (path: string, token?: string): Promise<{ status: number; body: string }> => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(url + path, { headers });
    return { status: answer.status, body: await answer.text() };
  };
  const login = async (): Promise<string> => {
    const answer = await fetch(`${url}/api/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'admin@localhost', password }),
    });
    return ((await answer.json()) as { accessToken: string }).accessToken;
  };

  it('is what is started', () => {
    expect(existsSync(join(root, 'dist', 'apps', 'server', 'bundle', 'process.js'))).toBe(true);
  });

  it('has the gate of the package, by the digest of its code', async () => {
    const packed = await readFile(join(root, 'dist', 'apps', 'server', 'bundle', 'process.js'), 'utf8');
    const gate = (await import(join(root, 'packages', 'gate', 'dist', 'version.js'))) as { GATE_VERSION: string };
    expect(/GATE_VERSION = [`"']([^`"']+)/.exec(packed)?.[1]).toBe(gate.GATE_VERSION);
  });

  it('describes the same API as the one that is not packed', async () => {
    const written: unknown = JSON.parse(await readFile(join(root, 'docs', 'openapi.json'), 'utf8'));
    expect(JSON.parse((await get('/api/docs-json')).body)).toEqual(written);
  });

  it.each(['/livez', '/startupz', '/metrics', '/api/docs', '/api/docs/swagger-ui.css'])('serves %s', async (path) => {
    const { status, body } = await get(path);
    expect(status).toBe(200);
    expect(body).not.toBe('');
  });

  it.each(['/health', '/api/agents/templates', '/api/tasks'])('serves %s to who may see it', async (path) => {
    expect((await get(path, await login())).status).toBe(200);
  });
});
