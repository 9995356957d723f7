import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApiKeyCreated, InstanceView, RuntimeStatus, TaskDetail, TaskView } from '@muster/contracts';
import { type AgentEvent, defineAgent, MusterClient, type RunningAgent, type TaskContext } from '@muster/sdk';
import { Signals } from '#platform/redis';
import { startApp, type TestServer } from '#test/app';
import { testDatabase, type TestDatabase } from '#test/database';
import { redisTest, startRedis, type TestRedis } from '#test/redis';

const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
/** Bounded: what never comes fails the test, with what there was instead. */
async function until<T>(read: () => Promise<T> | T, good: (value: T) => boolean, ms = 30_000): Promise<T> {
  for (const end = Date.now() + ms; ; await pause(20)) {
    const value = await read();
    if (good(value)) return value;
    if (Date.now() > end) throw new Error(`It did not come true: ${JSON.stringify(value)?.slice(0, 1000)}`);
  }
}

/** Two servers on one database: people speak to the first, the agents to the second. */
interface Pair {
  readonly asked: TestServer;
  readonly held: TestServer;
  readonly client: MusterClient;
  readonly project: string;
  close(): Promise<void>;
}
async function startPair(database: TestDatabase, env: Record<string, string> = {}): Promise<Pair> {
  const shared = await mkdtemp(join(tmpdir(), 'muster-shared-'));
  const settings = { database, env: { MUSTER_LEASE_SECONDS: '600', MUSTER_SHARED_DIR: shared, ...env } };
  const asked = await startApp(settings);
  const held = await startApp({ ...settings, env: { ...settings.env, MUSTER_ADMIN_PASSWORD: '' } });
  for (const server of [asked, held])
    await until(
      () => server.app.get(Signals).connected,
      (connected) => connected,
    );
  const client = new MusterClient({ url: asked.url, token: asked.admin.token });
  await client.agents.register({ definition: worker().agent.definition('1.0.0'), publish: true });
  const project = (await client.projects.create({ name: 'Texts' })).id;
  await client.projects.assign(project, { agent: 'worker', capabilities: ['text.count'] });
  return {
    asked,
    held,
    client,
    project,
    close: async () => {
      await held.close();
      await asked.close();
      await rm(shared, { recursive: true, force: true });
    },
  };
}

/** An agent whose tasks end when the test says so, with all that it was told. */
function worker() {
  const begun = new Map<string, { ctx: TaskContext; finish: () => void }>();
  const aborted: string[] = [];
  const events: AgentEvent[] = [];
  const agent = defineAgent({
    name: 'worker',
    capacity: 2,
    capabilities: {
      'text.count': async (task, ctx) => {
        await new Promise<void>((resolve, reject) => {
          begun.set(task.taskId, { ctx, finish: resolve });
          ctx.signal.addEventListener('abort', () => {
            aborted.push(task.taskId);
            reject(ctx.signal.reason as Error);
          });
        });
        return 1;
      },
    },
  });
  return { agent, begun, aborted, events };
}

const open: RunningAgent[] = [];
async function connect(pair: Pair, transport: 'socket' | 'http' = 'socket') {
  const one = worker();
  const key = (await pair.asked.request('POST', '/api/keys', { name: 'worker' })) as unknown as { body: ApiKeyCreated };
  const running = await one.agent.connect({
    url: pair.held.url,
    token: key.body.secret,
    transport,
    onEvent: (event) => one.events.push(event),
  });
  open.push(running);
  return { ...one, running, id: running.instanceId };
}
const create = (pair: Pair): Promise<TaskView> =>
  pair.client.tasks.create({ projectId: pair.project, capability: 'text.count', input: {} });
const ended = (pair: Pair, task: TaskView): Promise<TaskDetail> =>
  until(
    () => pair.client.tasks.get(task.id),
    ({ finishedAt }) => finishedAt !== null,
  );
const isBegun = (one: { begun: Map<string, unknown> }, task: TaskView) =>
  until(
    () => [...one.begun.keys()],
    (all) => all.includes(task.id),
  );
const wanted = (events: readonly AgentEvent[]) =>
  events.flatMap((event) => (event.type === 'wanted' ? [event.wanted] : []));

afterEach(async () => {
  await Promise.all(open.splice(0).map((agent) => agent.stop()));
});

describe('an instance at another server than the one that is asked', () => {
  let database: TestDatabase;
  let pair: Pair;
  beforeAll(async () => {
    database = await testDatabase();
    pair = await startPair(database);
  }, 120_000);
  afterAll(async () => {
    await pair?.close();
    await database?.drop();
  });
  const stateOf = (id: string): Promise<InstanceView> => pair.client.instances.get(id);

  it.each(['socket', 'http'] as const)(
    'that is paused over %s is given nothing new, goes on with what it holds, and works again when it is resumed',
    async (transport) => {
      const one = await connect(pair, transport);
      const first = await create(pair);
      await isBegun(one, first);
      expect(await pair.client.instances.pause(one.id, 'a look at its log')).toMatchObject({
        state: 'paused',
        wanted: 'pause',
        wantedReason: 'a look at its log',
      });
      await until(
        () => one.events,
        (events) => wanted(events).includes('pause'),
      );
      const second = await create(pair);
      one.begun.get(first.id)?.finish();
      expect(await ended(pair, first)).toMatchObject({ state: 'succeeded' });
      // A heartbeat and a look of every kind later it is still nobody's.
      await pause(1500);
      expect(await pair.client.tasks.get(second.id)).toMatchObject({ state: 'queued' });
      expect(await stateOf(one.id)).toMatchObject({ state: 'paused' });
      await pair.client.instances.resume(one.id);
      await isBegun(one, second);
      one.begun.get(second.id)?.finish();
      expect(await ended(pair, second)).toMatchObject({ state: 'succeeded', attempt: 1 });
      // Who polls is told with a heartbeat, and may have been given work before.
      await until(
        () => wanted(one.events),
        (all) => all.join() === 'pause,run',
      );
    },
    90_000,
  );

  it('that drains finishes what it holds and says goodbye', async () => {
    const one = await connect(pair);
    const task = await create(pair);
    await isBegun(one, task);
    await pair.client.instances.drain(one.id);
    await until(
      () => one.events,
      (events) => wanted(events).includes('drain'),
    );
    expect(await stateOf(one.id)).toMatchObject({ state: 'paused', wanted: 'drain' });
    one.begun.get(task.id)?.finish();
    expect(await ended(pair, task)).toMatchObject({ state: 'succeeded', attempt: 1 });
    await one.running.ended;
    await until(
      () => stateOf(one.id),
      ({ state }) => state === 'offline',
    );
  }, 60_000);

  it('that is stopped hands back what it holds, which goes on elsewhere at once and costs no attempt', async () => {
    const one = await connect(pair);
    const task = await create(pair);
    await isBegun(one, task);
    const other = await connect(pair);
    await pair.client.instances.stop(one.id);
    await one.running.ended;
    await isBegun(other, task);
    other.begun.get(task.id)?.finish();
    const done = await ended(pair, task);
    expect(done.state).toBe('succeeded');
    expect(done.attempts.map(({ outcome }) => outcome).sort()).toEqual(['completed', 'released']);
    const [row] = await database.sql<{ failures: number }>(`select failures from tasks where id = $1`, [task.id]);
    expect(row?.failures ?? 0).toBe(0);
  }, 60_000);

  it('stays paused over a lost connection', async () => {
    const one = await connect(pair);
    await pair.client.instances.pause(one.id);
    await database.sql(`update instances set state = 'offline' where id = $1`, [one.id]);
    await database.sql(`update instances set state = 'idle' where id = $1`, [one.id]);
    expect(await stateOf(one.id)).toMatchObject({ state: 'paused' });
  }, 60_000);

  it('is told that its task was cancelled', async () => {
    const one = await connect(pair);
    const task = await create(pair);
    await isBegun(one, task);
    await pair.client.tasks.cancel(task.id, 'not needed any more');
    await until(
      () => one.aborted,
      (all) => all.includes(task.id),
    );
    expect(one.events.at(-1)).toMatchObject({ type: 'task_ended', outcome: 'cancelled', taskId: task.id });
  }, 60_000);

  it('is given nothing while dispatch is stopped, of its team or of the server, and all of it afterwards', async () => {
    const one = await connect(pair);
    for (const scope of ['team', 'server'] as const) {
      expect(await pair.client.runtime.stop({ scope, reason: 'maintenance' })).toMatchObject({
        state: 'stopped',
        stops: [{ scope, reason: 'maintenance' }],
      });
      // Asked twice it is stopped once; the other server knows, too.
      await pair.client.runtime.stop({ scope });
      const there = (
        await pair.held.request('GET', '/api/runtime/status', undefined, { token: pair.asked.admin.token })
      ).body as RuntimeStatus;
      expect(there).toMatchObject({ state: 'stopped', stops: [{ scope, reason: 'maintenance' }] });
      await pause(100);
      const task = await create(pair);
      await pause(1500);
      expect(await pair.client.tasks.get(task.id)).toMatchObject({ state: 'queued' });
      expect(await pair.client.runtime.start({ scope })).toMatchObject({ state: 'running', stops: [] });
      await isBegun(one, task);
      one.begun.get(task.id)?.finish();
      await ended(pair, task);
    }
  }, 90_000);

  it('is nobody’s to command without the permission, and unknown to other teams', async () => {
    const one = await connect(pair);
    const key = (await pair.asked.request('POST', '/api/keys', { name: 'a viewer', role: 'viewer' })) as unknown as {
      body: ApiKeyCreated;
    };
    for (const verb of ['pause', 'resume', 'drain', 'stop', 'start'])
      expect(
        (await pair.asked.request('POST', `/api/instances/${one.id}/${verb}`, {}, { token: key.body.secret })).status,
      ).toBe(403);
    expect((await pair.asked.request('POST', '/api/runtime/stop', {}, { token: key.body.secret })).status).toBe(403);
    const owner = { email: 'owner@tenant.example', password: 'a password of a tenant' };
    await pair.asked.request('POST', '/api/teams', { name: 'Tenant', slug: 'tenant', owner });
    const login = await pair.asked.request('POST', '/api/auth/login', owner, { token: null });
    const { accessToken: token } = login.body as { accessToken: string };
    expect((await pair.asked.request('POST', `/api/instances/${one.id}/pause`, {}, { token })).status).toBe(404);
    expect(await pair.asked.request('POST', '/api/runtime/stop', { scope: 'server' }, { token })).toMatchObject({
      status: 403,
      body: { code: 'runtime.operators_only' },
    });
    expect(await pair.asked.request('POST', `/api/instances/${one.id}/start`, {})).toMatchObject({
      status: 409,
      body: { code: 'runtime.not_supervised' },
    });
  }, 60_000);
});

describe('two servers with a Redis', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database?.drop());

  redisTest('do the same work while it is alive, dead, flushed and back', async () => {
    const redis: TestRedis = await startRedis();
    const pair = await startPair(database, { REDIS_URL: redis.url });
    try {
      const one = await connect(pair);
      const signals = [pair.asked, pair.held].map((server) => server.app.get(Signals));
      const work = async () => {
        const done = await create(pair);
        await isBegun(one, done);
        one.begun.get(done.id)?.finish();
        expect(await ended(pair, done)).toMatchObject({ state: 'succeeded', attempt: 1 });
        const cancelled = await create(pair);
        await isBegun(one, cancelled);
        await pair.client.tasks.cancel(cancelled.id, 'not needed');
        await until(
          () => one.aborted,
          (all) => all.includes(cancelled.id),
        );
        await pair.client.instances.pause(one.id);
        await until(
          () => one.events,
          (events) => wanted(events).at(-1) === 'pause',
        );
        await pair.client.instances.resume(one.id);
        await until(
          () => one.events,
          (events) => wanted(events).at(-1) === 'run',
        );
      };
      await work();
      expect(signals[1]?.counts.received).toBeGreaterThan(0);
      await redis.kill();
      await until(
        () => signals.every(({ connected }) => !connected),
        (down) => down,
      );
      await work();
      const health = await pair.asked.request('GET', '/health');
      expect(health).toMatchObject({
        status: 200,
        body: { details: { signals: { over: 'redis', connected: false } } },
      });
      expect((await pair.asked.request('GET', '/metrics', undefined, { token: null })).body).toMatch(
        /^muster_signals_connected\{.*\} 0$/m,
      );
      await redis.restart();
      await until(
        () => signals.every(({ connected }) => connected),
        (up) => up,
      );
      await work();
    } finally {
      await pair.close();
      await redis.stop();
    }
  });
});
