import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ApiKeyCreated } from '@muster/contracts';
import { defineAgent, MusterClient, type RunningAgent } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';
import { testDatabase, type TestDatabase } from '#test/database';

const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
async function until<T>(read: () => Promise<T> | T, good: (value: T) => boolean, ms = 45_000): Promise<T> {
  for (const end = Date.now() + ms; ; await pause(20)) {
    const value = await read();
    if (good(value)) return value;
    if (Date.now() > end) throw new Error(`It did not come true: ${JSON.stringify(value)?.slice(0, 1000)}`);
  }
}

/** Attempts as the database knows them; one ends strictly before whatever took its place begins. */
const attemptsSql = `
  select extract(epoch from a.started_at)::float8 * 1000 as "from", extract(epoch from a.ended_at)::float8 * 1000 as "to"
  from attempts_now a join tasks t on t.id = a.task_id where t.project_id = $1`;
interface Span {
  readonly from: number;
  readonly to: number | null;
}
function mostAtOnce(spans: readonly Span[]): number {
  const changes = spans
    .flatMap(({ from, to }) => [{ at: from, by: 1 }, ...(to === null ? [] : [{ at: to, by: -1 }])])
    .sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  return Math.max(0, ...changes.map(({ by }) => (now += by)));
}
function mostWithin(spans: readonly Span[], ms: number): number {
  const starts = spans.map(({ from }) => from).sort((a, b) => a - b);
  return Math.max(0, ...starts.map((at, n) => starts.slice(n).filter((other) => other < at + ms).length));
}

describe('limits where two servers dispatch', () => {
  let database: TestDatabase;
  const servers: TestServer[] = [];
  let shared: string;
  const running: RunningAgent[] = [];
  let client: MusterClient;
  let project: string;
  let projects = 0;
  /** What the agents do with a task; the shorter, the more claims. Some hang when they are tried first. */
  const agent = defineAgent({
    name: 'busy',
    capacity: 10,
    capabilities: {
      'text.count': async ({ input, attempt }) => (
        await pause(input['hangs'] === true && attempt === 1 ? 20_000 : 5),
        1
      ),
    },
  });
  const newKey = async (): Promise<string> => {
    const made = await servers[0]?.request('POST', '/api/keys', { name: 'an agent' });
    return (made as unknown as { body: ApiKeyCreated }).body.secret;
  };

  beforeAll(async () => {
    database = await testDatabase();
    shared = await mkdtemp(join(tmpdir(), 'muster-shared-'));
    const env = { MUSTER_LEASE_SECONDS: '2', MUSTER_SHARED_DIR: shared };
    const first = await startApp({ database, env });
    servers.push(first, await startApp({ database, env: { ...env, MUSTER_ADMIN_PASSWORD: '' } }));
    client = new MusterClient({ url: first.url, token: first.admin.token });
    await client.agents.register({
      definition: { ...agent.definition('1.0.0'), limits: { concurrency: 10 } },
      publish: true,
    });
    for (const { url } of [...servers, ...servers]) running.push(await agent.connect({ url, token: await newKey() }));
  }, 120_000);
  afterAll(async () => {
    await Promise.all(running.map((one) => one.stop()));
    for (const server of servers.reverse()) await server.close();
    await database?.drop();
    if (shared !== undefined) await rm(shared, { recursive: true, force: true });
  });
  afterEach(() => void jest.restoreAllMocks());

  const newProject = async (): Promise<string> => {
    const { id } = await client.projects.create({ name: `Texts ${++projects}` });
    await client.projects.assign(id, { agent: 'busy', capabilities: ['text.count'] });
    return id;
  };
  const create = async (count: number, input = {}): Promise<void> => {
    const { items } = await client.tasks.createMany({
      projectId: project,
      capability: 'text.count',
      tasks: Array.from({ length: count }, () => ({ input })),
    });
    expect(items.filter(({ created }) => created)).toHaveLength(count);
  };
  const spans = () => database.sql<Span>(attemptsSql, [project]);
  const done = async (count: number, ms?: number) =>
    until(
      () => database.sql(`select id from tasks where project_id = $1 and state = 'succeeded'`, [project]),
      (rows) => rows.length === count,
      ms,
    );

  it('no more than three ever run at once, and all three places are used', async () => {
    project = await newProject();
    await client.limits.set({ projectId: project, maxRunning: 3 });
    await create(200);
    await done(200);
    expect(mostAtOnce(await spans())).toBe(3);
    expect(await database.sql(`select task_id from task_running`)).toEqual([]);
  }, 90_000);

  it('no more than four ever begin within a second, and the next begin when they may', async () => {
    project = await newProject();
    await client.limits.set({ projectId: project, capability: 'text.count', maxStarts: 4, perSeconds: 1 });
    await create(14);
    await done(14);
    const all = await spans();
    expect(mostWithin(all, 1_000)).toBe(4);
  }, 90_000);

  it('a limit that is raised or removed lets what waited go on', async () => {
    project = await newProject();
    const { id } = await client.limits.set({ projectId: project, agent: 'busy', maxRunning: 0 });
    await create(20);
    await pause(300);
    expect(await spans()).toEqual([]);
    await client.limits.set({ projectId: project, agent: 'busy', maxRunning: 2 });
    await until(spans, (all) => all.length > 4);
    await client.limits.remove(id);
    await done(20);
  }, 90_000);

  it('what an agent held that died is nobody’s place for ever', async () => {
    project = await newProject();
    await client.limits.set({ projectId: project, maxRunning: 1 });
    await create(3, { hangs: true });
    // A claim whose agent never was: it holds the only place until its lease is over.
    const lost = new Set<string>();
    await until(
      async () =>
        database.sql<{ id: string }>(
          `update task_running r set fence = nextval('task_fences'), lease_until = muster_now() from tasks t
           where t.id = r.task_id and t.project_id = $1 and r.number = 1 and r.lease_until > muster_now() returning r.task_id as id`,
          [project],
        ),
      (rows) => {
        for (const { id } of rows) lost.add(id);
        return lost.size === 3;
      },
    );
    await done(3);
    expect(mostAtOnce(await spans())).toBe(1);
  }, 90_000);

  it('a project without a limit costs no statement more, though others are limited', async () => {
    const [server] = servers as [TestServer];
    const limited = await newProject();
    await client.limits.set({ projectId: limited, maxRunning: 1 });
    project = await newProject();
    const seen: string[] = [];
    for (const verb of ['hot', 'sql'] as const) {
      const original = server.database[verb].bind(server.database) as (...args: unknown[]) => unknown;
      jest.spyOn(server.database, verb).mockImplementation(((...args: unknown[]) => {
        seen.push(args.slice(0, 2).join(' '));
        return original(...args);
      }) as never);
    }
    await create(300);
    await done(300);
    const about = (word: string) => seen.filter((text) => text.includes(word));
    expect(about('claim from').length).toBeGreaterThan(0);
    // The look each second and the version within the statements that hand out are all; neither what is used of limits nor what waits in lanes is asked for.
    expect(
      about('dispatch_limit').filter(
        (text) =>
          !/^claim from|^create (a task that begins|tasks that( all)? begin)|left join dispatch_limits d on true/.test(
            text,
          ),
      ),
    ).toEqual([]);
    expect(about('"readyAt"')).toEqual([]);
  }, 90_000);
});
