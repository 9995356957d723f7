import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { AuditReport, CheckFacts, VerificationFacts, VerifyInput } from '@muster/contracts';
import { defineAgent, MusterClient, type RunningAgent } from '@muster/sdk';
import { Authenticator } from '#messages/auth';
import { newAgentKey } from '#test/agent-at-work';
import { startApp, type TestServer } from '#test/app';
import { testDatabase, type TestDatabase } from '#test/database';

const run = promisify(execFile);
let database: TestDatabase;
let shared: string;
let servers: readonly [TestServer, TestServer];
let clients: readonly [MusterClient, MusterClient];
const working: RunningAgent[] = [];
const closed = new Set<TestServer>();
/** Which server's agent did the task. */
const doneAt = new Map<string, number>();

const author = (at: number) =>
  defineAgent({
    name: 'author',
    capacity: 2,
    capabilities: {
      'code.change': async (task, ctx) => {
        doneAt.set(task.taskId, at);
        const { path, content } = task.input as { path: string; content: string };
        await ctx.submit({ message: `Write ${path}`, files: [{ path, content }] });
      },
      'text.length': (task) => (task.input as { text: string }).text.length,
    },
  });
/** Finds nothing wrong with anything: what is judged is not what these tests are about. */
const verifier = defineAgent({
  name: 'muster-verifier',
  capacity: 4,
  capabilities: {
    'muster.verify': (task) => {
      const input = task.input as unknown as VerifyInput;
      const checks: CheckFacts[] = input.policy.required.map((check) => ({
        check, category: 'tests', status: 'passed', summary: 'seen', metrics: {}, tool: null, ms: 1, findings: [],
      })); // prettier-ignore
      const facts: VerificationFacts = {
        candidateTree: input.candidateTree, baseTree: input.baseTree, rulesDigest: input.rulesDigest, checks, baseFailures: [], testCases: [], ms: 5,
        toolchain: { digest: 'd', node: '24', platform: 'linux-x64', sandbox: 'unshare', gate: '0.1.0' },
        sandbox: { driver: 'unshare', proven: true, notes: [] },
      }; // prettier-ignore
      return facts;
    },
  },
});

/** Two servers of one installation: one database, one shared folder, a data folder for each; agents and a verifier at both. */
beforeAll(async () => {
  database = await testDatabase();
  shared = await mkdtemp(join(tmpdir(), 'muster-shared-'));
  const start = (env: Record<string, string> = {}) =>
    startApp({ database, env: { MUSTER_SHARED_DIR: shared, ...env } });
  const first = await start();
  servers = [first, await start({ MUSTER_ADMIN_PASSWORD: '' })];
  const clientOf = ({ url }: TestServer) => new MusterClient({ url, token: first.admin.token });
  clients = [clientOf(servers[0]), clientOf(servers[1])];
  await clients[0].agents.register({ definition: author(0).definition('1.0.0'), publish: true });
  const key = await newAgentKey(first);
  for (const [at, { url, app }] of servers.entries()) {
    working.push(await author(at).connect({ url, token: key }));
    // Each server starts verifiers of its own, and only it knows their key.
    const own = await app.get(Authenticator).issueSystemKey('verifier');
    working.push(await verifier.connect({ url, token: own, instanceName: `verifier-${at}` }));
  }
});
afterAll(async () => {
  for (const agent of working) await agent.stop().catch(() => undefined);
  for (const server of servers ?? []) if (!closed.has(server)) await server.close();
  await database?.drop();
  if (shared !== undefined) await rm(shared, { recursive: true, force: true });
});

async function newProject(): Promise<string> {
  const { id } = await clients[0].projects.create({ name: 'Pages' });
  await clients[0].projects.assign(id, { agent: 'author', capabilities: ['code.change', 'text.length'] });
  return id;
}
const write = (projectId: string, path: string) => ({
  projectId,
  capability: 'code.change',
  title: `Write ${path}`,
  input: { path, content: `This is ${path}.\n` },
});
const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
/** Bounded: what never ends fails the test, with where it stood. */
async function ended(client: MusterClient, taskId: string) {
  for (const end = Date.now() + 60_000; ; await pause(50)) {
    const task = await client.tasks.get(taskId);
    if (['succeeded', 'failed', 'canceled'].includes(task.state)) return task;
    if (Date.now() > end) throw new Error(`It did not end: ${JSON.stringify(await client.tasks.explain(taskId))}`);
  }
}
async function headAt(server: TestServer, projectId: string): Promise<string> {
  const [host, token] = [new URL(server.url), servers[0].admin.token];
  const { stdout } = await run('git', ['ls-remote', `${host.protocol}//git:${token}@${host.host}/git/${projectId}.git`, 'refs/heads/main']); // prettier-ignore
  return stdout.split('\t')[0] ?? '';
}

it('work that comes in at either server is done at both, lands once, and is the same from either', async () => {
  const projectId = await newProject();
  const paths = Array.from({ length: 8 }, (_, at) => `page-${at}.md`);
  const tasks = await Promise.all(paths.map((path, at) => clients[at % 2 === 0 ? 0 : 1].tasks.create(write(projectId, path)))); // prettier-ignore
  for (const [at, { id }] of tasks.entries())
    expect(await ended(clients[at % 2 === 0 ? 1 : 0], id)).toMatchObject({ state: 'succeeded' });
  expect(new Set(tasks.map(({ id }) => doneAt.get(id)))).toEqual(new Set([0, 1]));
  const heads = [await headAt(servers[0], projectId), await headAt(servers[1], projectId)];
  expect(heads[0]).toMatch(/^[0-9a-f]{40}$/);
  expect(heads[1]).toBe(heads[0]);
  const report = (await servers[1].request('GET', `/api/projects/${projectId}/audit`)).body as AuditReport;
  expect(report.ok).toBe(true);
  expect(report.commits.filter(({ kind }) => kind === 'landing')).toHaveLength(paths.length);
});

it('a large value that is stored at one server is read at the other, and handed to the agents of both', async () => {
  const projectId = await newProject();
  const text = 'x'.repeat(400_000);
  const stored = await clients[0].blobs.put(projectId, { text });
  expect(await clients[1].blobs.get(projectId, stored)).toEqual({ text });
  const tasks = await Promise.all(
    [0, 1, 0, 1].map((at) =>
      clients[at === 0 ? 0 : 1].tasks.create({ projectId, capability: 'text.length', title: 'Count', input: stored }),
    ),
  );
  for (const { id } of tasks)
    expect(await ended(clients[1], id)).toMatchObject({ state: 'succeeded', output: 400_000 });
});

it('when one server goes, what came in there goes on at the other', async () => {
  const projectId = await newProject();
  const { id } = await clients[1].tasks.create({ ...write(projectId, 'last.md'), notBefore: new Date(Date.now() + 1500).toISOString() }); // prettier-ignore
  closed.add(servers[1]);
  await servers[1].close();
  expect(await ended(clients[0], id)).toMatchObject({ state: 'succeeded' });
  expect(doneAt.get(id)).toBe(0);
});
