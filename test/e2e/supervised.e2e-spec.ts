import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AgentDefinition, type InstanceView, type ProcessLog, type SupervisedView } from '@muster/contracts';
import { MusterClient } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';
import { testDatabase, type TestDatabase } from '#test/database';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'test', 'fixtures', 'supervised-agent.mjs');
const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
/** Bounded: what never comes fails the test, with what there was instead. */
async function until<T>(read: () => Promise<T> | T, good: (value: T) => boolean, ms = 60_000): Promise<T> {
  for (const end = Date.now() + ms; ; await pause(50)) {
    const value = await read();
    if (good(value)) return value;
    if (Date.now() > end) throw new Error(`It did not come true: ${JSON.stringify(value).slice(0, 1000)}`);
  }
}
const alive = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};

type Ask = (method: string, path: string, body?: unknown, token?: string) => Promise<{ status: number; body: never }>;
const definition = (name: string, runtime: AgentDefinition['runtime'] | object | null): object => ({
  metadata: { name, version: '1.0.0' },
  skills: [{ name: 'text.count' }],
  ...(runtime === null ? {} : { runtime }),
});
const start = async (ask: Ask, agent: string): Promise<SupervisedView> => {
  const { status, body } = await ask('POST', '/api/runtime/instances/start', { agent });
  expect({ status, body }).toMatchObject({ status: 201 });
  return body;
};
const look = async (ask: Ask, id: string): Promise<SupervisedView> =>
  (await ask('GET', `/api/runtime/instances/${id}`)).body;
const linesOf = async (ask: Ask, id: string): Promise<string[]> =>
  ((await ask('GET', `/api/runtime/instances/${id}/log?lines=1000`)).body as ProcessLog).items.map(({ line }) => line);
const instances = async (ask: Ask): Promise<InstanceView[]> =>
  ((await ask('GET', '/api/instances')).body as { items: InstanceView[] }).items;
/** The process and its child that left the group, as the newest life of it printed them. */
const pidsOf = async (ask: Ask, id: string, lives = 1): Promise<[number, number]> => {
  const lines = await until(
    () => linesOf(ask, id),
    (all) => all.filter((line) => line.startsWith('pids ')).length >= lives,
  );
  const newest = lines.filter((line) => line.startsWith('pids ')).at(-1) ?? '';
  return newest.split(' ').slice(1).map(Number) as [number, number];
};
const isConnected = (id: string) => (all: InstanceView[]) =>
  all.some((one) => one.id === id && (one.state === 'idle' || one.state === 'running'));

beforeAll(async () => {
  // The agent in its own process uses the SDK as it is published.
  await promisify(execFile)(process.execPath, [join(root, 'tools', 'build.mjs')], { cwd: root });
}, 300_000);

describe('a supervised instance', () => {
  let server: TestServer;
  let ask: Ask;
  let client: MusterClient;
  let project: string;
  beforeAll(async () => {
    server = await startApp({
      env: { MUSTER_SUPERVISED: process.execPath, MUSTER_LEASE_SECONDS: '600', MUSTER_RETRY_DELAYS: '0.1' },
    });
    ask = (method, path, body, token) => server.request(method, path, body, token === undefined ? {} : { token });
    client = new MusterClient({ url: server.url, token: server.admin.token });
    for (const one of [
      definition('watched', { command: [process.execPath, program], env: { COLOUR: 'green' } }),
      definition('stubborn', { command: [process.execPath, program, '--stubborn'] }),
      definition('hopeless', { command: [process.execPath, '-e', 'process.exit(3)'], restarts: 1 }),
      definition('elsewhere', { command: ['/bin/sh', '-c', 'sleep 1000'] }),
      definition('by-hand', null),
    ])
      await client.agents.register({ definition: one, publish: true });
    project = (await client.projects.create({ name: 'Texts' })).id;
    await client.projects.assign(project, { agent: 'watched', capabilities: ['text.count'] });
  }, 120_000);
  afterAll(() => server?.close());

  it('is started, connects as itself, works, and is stopped with all that it started', async () => {
    const { id } = await start(ask, 'watched');
    await until(() => instances(ask), isConnected(id));
    const [pid, grandchild] = await pidsOf(ask, id);
    expect(await look(ask, id)).toMatchObject({ state: 'running', pid, starts: 1, failures: 0 });

    const folder = join(server.dataDir, 'supervised', id, 'work');
    const task = await client.projects.execute(project, 'text.count', { input: {}, waitSeconds: 30 });
    expect(task).toMatchObject({ state: 'succeeded', output: { pid, folder } });

    // Nothing of the server's: neither what it was started with nor, in the log, the key.
    const lines = await linesOf(ask, id);
    expect(lines).toContain(
      `variables COLOUR HOME MUSTER_TOKEN MUSTER_URL PATH SUPERVISED_BY_MUSTER TMPDIR${process.env['LANG'] === undefined ? '' : ' LANG'}${process.env['TZ'] === undefined ? '' : ' TZ'}`
        .split(' ')
        .sort()
        .join(' ')
        .replace(/^(.*) variables(.*)$/, 'variables $1$2'),
    );
    expect(lines).toContain('token ********');
    const keysOf = () =>
      server.database.sql<{ id: string; role: string; revoked: boolean }>(
        `select id, role, revoked_at is not null as revoked from api_keys where name = 'watched, supervised' order by id`,
      );
    expect(await keysOf()).toMatchObject([{ role: 'agent', revoked: false }]);

    expect((await ask('POST', `/api/instances/${id}/stop`, {})).status).toBe(200);
    await until(
      () => look(ask, id),
      ({ state }) => state === 'stopped',
    );
    expect({ pid: alive(pid), grandchild: alive(grandchild) }).toEqual({ pid: false, grandchild: false });
    expect(await keysOf()).toMatchObject([{ revoked: true }]);
    await until(
      () => existsSync(folder),
      (there) => !there,
    );
    expect(isConnected(id)(await instances(ask))).toBe(false);
  }, 120_000);

  it('that is killed is started again as the same instance with a new key, and what it held goes on elsewhere at once', async () => {
    const { id } = await start(ask, 'watched');
    await until(() => instances(ask), isConnected(id));
    const [pid, grandchild] = await pidsOf(ask, id);
    const task = await client.tasks.create({ projectId: project, capability: 'text.count', input: { slow: true } });
    await until(
      () => client.tasks.get(task.id),
      ({ attempts }) => attempts[0]?.progress === 0.1,
    );
    const { id: other } = await start(ask, 'watched');
    await until(() => instances(ask), isConnected(other));
    process.kill(pid, 'SIGKILL');
    // The lease is ten minutes: only because its process is known to be gone does the task go on.
    const done = await until(
      () => client.tasks.get(task.id),
      ({ state }) => state === 'succeeded',
    );
    expect(done.attempts).toMatchObject([
      { outcome: 'completed', instanceId: other },
      { outcome: 'expired', instanceId: id },
    ]);
    const [again] = await pidsOf(ask, id, 2);
    expect(alive(grandchild)).toBe(false);
    expect(await look(ask, id)).toMatchObject({ state: 'running', starts: 2, failures: 1, pid: again });
    const keys = await server.database.sql<{ id: string; living: number }>(
      `select s.id, (select count(*)::int from api_keys k where k.name = 'watched, supervised' and k.revoked_at is null) as living
       from supervised_instances s join api_keys k on k.id = s.key_id and k.revoked_at is null order by s.created_at`,
    );
    expect(keys).toEqual([
      { id, living: 2 },
      { id: other, living: 2 },
    ]);

    // A child of it is its own affair.
    const [, second] = await pidsOf(ask, id, 2);
    process.kill(second, 'SIGKILL');
    await pause(500);
    expect(await look(ask, id)).toMatchObject({ state: 'running', starts: 2, pid: again });
    for (const one of [id, other]) {
      await ask('POST', `/api/instances/${one}/stop`, {});
      await until(
        () => look(ask, one),
        ({ state }) => state === 'stopped',
      );
    }
  }, 180_000);

  it('that will not end is ended when its grace is over', async () => {
    const { id } = await start(ask, 'stubborn');
    const [pid, grandchild] = await pidsOf(ask, id);
    await ask('POST', `/api/instances/${id}/stop`, { graceSeconds: 0.5 });
    await until(
      () => look(ask, id),
      ({ state }) => state === 'stopped',
    );
    expect([alive(pid), alive(grandchild)]).toEqual([false, false]);
    expect(await linesOf(ask, id)).toContain('no');
  }, 120_000);

  it('that ends again and again is given up with the reason, and started anew by a person', async () => {
    const { id } = await start(ask, 'hopeless');
    const given = await until(
      () => look(ask, id),
      ({ state }) => state === 'error',
    );
    expect(given).toMatchObject({
      starts: 2,
      failures: 2,
      pid: null,
      reason: 'it ended with code 3, 2 times in a row',
    });
    expect((await instances(ask)).find((one) => one.id === id)).toMatchObject({ state: 'error' });
    await ask('POST', `/api/instances/${id}/start`);
    await until(
      () => look(ask, id),
      ({ state, starts }) => state === 'error' && starts === 4,
    );
  }, 120_000);

  it('is refused where the operator, the definition or the permission does not allow it', async () => {
    const asked = async (agent: string, token?: string) => {
      const { status, body } = await ask('POST', '/api/runtime/instances/start', { agent }, token);
      return [status, (body as { code?: string }).code];
    };
    expect(await asked('elsewhere')).toEqual([403, 'runtime.supervision_refused']);
    expect(await asked('by-hand')).toEqual([422, 'runtime.nothing_to_run']);
    expect(await asked('nobody')).toEqual([422, 'runtime.agent_unknown']);
    const secretOf = async (key: object): Promise<string> =>
      ((await ask('POST', '/api/keys', { name: 'a key', ...key })).body as { secret: string }).secret;
    expect((await asked('watched', await secretOf({ role: 'agent' })))[0]).toBe(403);
    expect((await asked('watched', await secretOf({ role: 'maintainer' })))[0]).toBe(403);
    expect((await asked('watched', await secretOf({ role: 'owner', projectId: project })))[0]).toBe(403);
    await client.agents
      .register({ definition: definition('sneaky', { command: ['x'], env: { MUSTER_TOKEN: 'mine' } }) })
      .then(
        () => expect('it was taken').toBe('refused'),
        (error: { status?: number }) => expect(error.status).toBe(422),
      );
  });

  it('of another team is unknown, and other teams start nothing on this machine', async () => {
    const owner = { email: 'owner@tenant.example', password: 'a password of a tenant' };
    await ask('POST', '/api/teams', { name: 'Tenant', slug: 'tenant', owner });
    const login = await server.request('POST', '/api/auth/login', owner, { token: null });
    const { accessToken } = login.body as { accessToken: string };
    const tenant = new MusterClient({ url: server.url, token: accessToken });
    await tenant.agents.register({
      definition: definition('watched', { command: [process.execPath, program] }),
      publish: true,
    });
    const { status, body } = await ask('POST', '/api/runtime/instances/start', { agent: 'watched' }, accessToken);
    expect({ status, body }).toMatchObject({ status: 403, body: { code: 'runtime.supervision_refused' } });
    const { id } = await start(ask, 'hopeless');
    for (const path of [`/api/runtime/instances/${id}`, `/api/runtime/instances/${id}/log`])
      expect((await ask('GET', path, undefined, accessToken)).status).toBe(404);
    expect((await ask('POST', `/api/instances/${id}/stop`, {}, accessToken)).status).toBe(404);
    await ask('POST', `/api/instances/${id}/stop`, {});
  }, 60_000);
});

describe('a server that supervises', () => {
  let database: TestDatabase;
  let dataDir: string;
  beforeAll(async () => {
    database = await testDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'muster-supervised-'));
  });
  afterAll(async () => {
    await database?.drop();
    if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true });
  });

  const password = 'a password for the supervisor';
  /** The built server as a process of its own, so that it can be killed. */
  async function serverProcess(): Promise<{ child: ChildProcess; ask: Ask; url: string; token: string }> {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    const child = spawn(process.execPath, [join(root, 'dist', 'apps', 'server', 'src', 'main.js')], {
      cwd: root,
      stdio: 'ignore',
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        DATABASE_URL: database.url,
        MUSTER_DATA_DIR: dataDir,
        MUSTER_PORT: String(port),
        MUSTER_ADMIN_PASSWORD: password,
        MUSTER_VERIFIERS: '0',
        MUSTER_SUPERVISED: process.execPath,
      },
    });
    const url = `http://127.0.0.1:${port}`;
    await until(
      () =>
        fetch(`${url}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      (ready) => ready,
    );
    const call = async (method: string, path: string, body: unknown, token: string | null) => {
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as never };
    };
    const login = await call('POST', '/api/auth/login', { email: 'admin@localhost', password }, null);
    const { accessToken } = login.body as { accessToken: string };
    return { child, url, token: accessToken, ask: (method, path, body) => call(method, path, body, accessToken) };
  }
  const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  };

  it('ends what it left behind when it was killed, never somebody else, and brings its instances back', async () => {
    const first = await serverProcess();
    const client = new MusterClient({ url: first.url, token: first.token });
    await client.agents.register({
      definition: definition('watched', { command: [process.execPath, program] }),
      publish: true,
    });
    const { id } = await start(first.ask, 'watched');
    const { id: other } = await start(first.ask, 'watched');
    await until(
      () => instances(first.ask),
      (all) => isConnected(id)(all) && isConnected(other)(all),
    );
    const [pid, grandchild] = await pidsOf(first.ask, id);
    const [otherPid] = await pidsOf(first.ask, other);
    await end(first.child, 'SIGKILL');
    expect([alive(pid), alive(grandchild)]).toEqual([true, true]);
    // While nobody looked, one of them ended and its number went to a stranger.
    process.kill(otherPid, 'SIGKILL');
    const stranger = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
    await database.sql(`update supervised_instances set pid = $2 where id = $1`, [other, stranger.pid]);

    const second = await serverProcess();
    const view = await until(
      () => look(second.ask, id),
      ({ state, starts }) => state === 'running' && starts === 2,
    );
    await until(
      () => look(second.ask, other),
      ({ state, starts }) => state === 'running' && starts === 2,
    );
    expect([alive(pid), alive(grandchild)]).toEqual([false, false]);
    expect(view.pid).not.toBe(pid);
    expect(alive(stranger.pid ?? 0)).toBe(true);
    stranger.kill('SIGKILL');
    await until(
      () => instances(second.ask),
      (all) => isConnected(id)(all) && isConnected(other)(all),
    );

    // Stopped in order, it takes them along; started again, it brings them back.
    const [again, child] = await pidsOf(second.ask, id, 2);
    await end(second.child, 'SIGTERM');
    expect([alive(again), alive(child)]).toEqual([false, false]);
    const third = await serverProcess();
    const back = await until(
      () => look(third.ask, id),
      ({ state, starts }) => state === 'running' && starts === 3,
    );
    expect(back.failures).toBe(0);
    for (const one of [id, other]) await third.ask('POST', `/api/instances/${one}/stop`, {});
    await until(
      () => look(third.ask, id),
      ({ state }) => state === 'stopped',
    );
    await until(
      () => look(third.ask, other),
      ({ state }) => state === 'stopped',
    );
    await end(third.child, 'SIGTERM');
    expect(await database.sql(`select id from api_keys where revoked_at is null and role = 'agent'`)).toEqual([]);
  }, 300_000);
});
