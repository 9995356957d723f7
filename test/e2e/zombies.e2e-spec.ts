import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type {
  AgentMessage,
  Problem,
  ServerMessage,
  SubmissionView,
  TaskAssignment,
  TaskDetail,
} from '@muster/contracts';
import { MusterClient } from '@muster/sdk';
import { WebSocket } from 'ws';
import { startApp, type TestServer } from '#test/app';

const run = promisify(execFile);

type Verb = Exclude<AgentMessage, { type: 'hello' }>;
type Unnumbered<M> = M extends unknown ? Omit<M, 'seq'> : never;
type Answer =
  { readonly type: 'ok'; readonly result?: unknown } | { readonly type: 'refused'; readonly problem: Problem };

let server: TestServer;
let owner: MusterClient;
let projectId: string;
let head: string;
let token: string;
let folder: string;
const agents: SocketAgent[] = [];
const polling: NodeJS.Timeout[] = [];

/** An agent that says on its socket exactly what a test wants it to say, and nothing else: no heartbeat, no politeness. */
class SocketAgent {
  readonly assignments: TaskAssignment[] = [];
  instanceId = '';
  #seq = 0;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      for (const message of JSON.parse(data.toString('utf8')) as ServerMessage[]) {
        if (message.type === 'task') this.assignments.push(message.task);
        if (message.type === 'welcome') this.instanceId = message.instanceId;
        if (message.type === 'welcome') this.#waiting.get(message.re)?.({ type: 'ok' });
        if (message.type === 'ok' || message.type === 'refused') this.#waiting.get(message.re)?.(message);
      }
    });
  }

  static async connect(): Promise<SocketAgent> {
    const socket = new WebSocket(`${server.url.replace(/^http/, 'ws')}/api/runtime/connect`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const agent = new SocketAgent(socket);
    agents.push(agent);
    await agent.#send({
      type: 'hello',
      protocol: 1,
      agent: 'coder',
      version: '*',
      capabilities: ['code.change'],
      capacity: 4,
      labels: {},
    });
    return agent;
  }

  say(verb: Unnumbered<Verb>): Promise<Answer> {
    return this.#send(verb);
  }

  #send(message: Unnumbered<AgentMessage>): Promise<Answer> {
    const seq = this.#seq++;
    return new Promise((resolve) => {
      this.#waiting.set(seq, resolve);
      this.#socket.send(JSON.stringify([{ ...message, seq }]));
    });
  }

  /** Takes one task, and is not heard of again until it speaks. */
  async take(): Promise<TaskAssignment> {
    await this.say({ type: 'credit', count: 1 });
    for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((go) => setTimeout(go, 20))) {
      const task = this.assignments.shift();
      if (task !== undefined) return task;
    }
    throw new Error('the agent was given nothing');
  }

  close(): void {
    this.#socket.terminate();
  }
}

interface Rest<T> {
  readonly status: number;
  readonly body: T & Partial<Problem>;
}
const rest = async <T = unknown>(method: string, path: string, body?: unknown): Promise<Rest<T>> => {
  const { status, body: answer } = await server.request(method, path, body, { token });
  return { status, body: answer };
};
const verb = (task: TaskAssignment, name: string, body: unknown = {}) =>
  rest('POST', `/api/tasks/${task.taskId}/attempts/${task.fence}/${name}`, body);

/** A living instance over REST, as polite as the SDK. */
async function living(): Promise<string> {
  const { body } = await rest<{ instanceId: string }>('POST', '/api/runtime/instances', {
    agent: 'coder',
    capabilities: ['code.change'],
    capacity: 4,
  });
  return body.instanceId;
}
async function claim(instanceId: string, taskId: string): Promise<TaskAssignment> {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    const path = `/api/runtime/instances/${instanceId}/claim`;
    const { body } = await rest<{ tasks: TaskAssignment[] }>('POST', path, { waitSeconds: 5, count: 1 });
    const [task] = body.tasks;
    if (task !== undefined) {
      if (task.taskId !== taskId) throw new Error(`claimed ${task.taskId} instead of ${taskId}`);
      return task;
    }
  }
  throw new Error('the task was never claimable');
}
function beatFor(instanceId: string, task: TaskAssignment): void {
  const held = [{ taskId: task.taskId, fence: task.fence }];
  const beat = () =>
    void rest('POST', `/api/runtime/instances/${instanceId}/heartbeat`, { held }).catch(() => undefined);
  polling.push(setInterval(beat, 300));
}
const create = () => owner.tasks.create({ projectId, capability: 'code.change' });
/** What must not change of the task while somebody writes who has lost it; its lease goes on, of course. */
const facts = async (taskId: string): Promise<unknown> => {
  const { updatedAt: _renewed, ...task }: TaskDetail = await owner.tasks.get(taskId);
  return { ...task, log: (await rest<{ items: unknown[] }>('GET', `/api/tasks/${taskId}/logs`)).body.items };
};
async function git(args: string[]): Promise<string> {
  const basic = Buffer.from(`agent:${token}`).toString('base64');
  const settings = [
    [`http.${server.url}/.extraHeader`, `Authorization: Basic ${basic}`],
    ['user.name', 'zombie'],
    ['user.email', 'zombie@localhost'],
  ];
  const config = Object.fromEntries(
    settings.flatMap(([key, value], place) => [
      [`GIT_CONFIG_KEY_${place}`, key],
      [`GIT_CONFIG_VALUE_${place}`, value],
    ]),
  ) as Record<string, string>;
  const env = { ...process.env, ...config, GIT_CONFIG_COUNT: String(settings.length), GIT_TERMINAL_PROMPT: '0' };
  return (await run('git', args, { cwd: folder, env })).stdout;
}

beforeAll(async () => {
  server = await startApp({ env: { MUSTER_LEASE_SECONDS: '2', MUSTER_RETRY_DELAYS: '600' } });
  owner = new MusterClient({ url: server.url, token: server.admin.token });
  await owner.agents.register({
    definition: {
      metadata: { name: 'coder', version: '1.0.0' },
      skills: [{ name: 'code.change' }],
      limits: { concurrency: 10 },
    },
    publish: true,
  });
  const project = await owner.projects.create({ name: 'Code' });
  projectId = project.id;
  head = project.head ?? '';
  await owner.projects.assign(projectId, { agent: 'coder', capabilities: ['code.change'] });
  // One key for all of them: nothing but the fence tells them apart.
  token = (await owner.keys.create({ name: 'coder' })).secret;
  folder = await mkdtemp(join(tmpdir(), 'muster-zombie-'));
  await git(['clone', '--quiet', `${server.url}${project.gitPath}`, '.']);
}, 120_000);
afterAll(async () => {
  for (const timer of polling) clearInterval(timer);
  for (const agent of agents) agent.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

describe('an agent that wakes up after its task was given to another', () => {
  let zombie: SocketAgent;
  let lost: TaskAssignment;
  let held: TaskAssignment;
  let before: unknown;

  beforeAll(async () => {
    const task = await create();
    zombie = await SocketAgent.connect();
    lost = await zombie.take();
    expect(lost.taskId).toBe(task.id);
    const living1 = await living();
    held = await claim(living1, task.id);
    beatFor(living1, held);
    expect(held.fence).toBeGreaterThan(lost.fence);
    before = await facts(task.id);
  }, 120_000);

  const lease = (): { taskId: string; fence: number } => ({ taskId: lost.taskId, fence: lost.fence });
  const writes: readonly (readonly [string, () => Unnumbered<Verb>])[] = [
    ['progress', () => ({ type: 'progress', ...lease(), message: 'still here', ratio: 0.9 })],
    ['log', () => ({ type: 'log', ...lease(), lines: ['still here'], stream: 'stdout' })],
    ['cost', () => ({ type: 'cost', ...lease(), key: 'zombie', usd: 1 })],
    ['checkpoint', () => ({ type: 'checkpoint', ...lease(), state: { by: 'zombie' } })],
    ['complete', () => ({ type: 'complete', ...lease(), output: { by: 'zombie' } })],
    ['fail', () => ({ type: 'fail', ...lease(), error: 'braaains', retryable: false })],
    ['release', () => ({ type: 'release', ...lease(), reason: 'sorry' })],
  ];

  it.each(writes)('is refused %s on its socket', async (_name, write) => {
    const answer = await zombie.say(write());
    expect(answer).toMatchObject({ type: 'refused', problem: { status: 409, code: 'runtime.stale_lease' } });
    expect(await facts(lost.taskId)).toEqual(before);
  });

  it.each(writes)('is refused %s over REST', async (name, write) => {
    const { type: _type, taskId: _task, fence: _fence, ...body } = write() as Record<string, unknown>;
    expect(await verb(lost, name, body)).toMatchObject({ status: 409, body: { code: 'runtime.stale_lease' } });
    expect(await facts(lost.taskId)).toEqual(before);
  });

  it('is told by its heartbeat, on its socket and over REST', async () => {
    const stale = [{ taskId: lost.taskId, fence: lost.fence }];
    expect(await zombie.say({ type: 'heartbeat', held: stale })).toMatchObject({ type: 'ok', result: { stale } });
    const path = `/api/runtime/instances/${zombie.instanceId}/heartbeat`;
    expect(await rest('POST', path, { held: stale })).toMatchObject({ status: 200, body: { stale } });
    expect(await facts(lost.taskId)).toEqual(before);
  });

  it('cannot hand in files', async () => {
    const submission = {
      taskId: lost.taskId,
      fence: lost.fence,
      base: head,
      message: 'braaains',
      files: [{ path: 'a.txt', content: 'z' }],
    };
    expect(await rest('POST', '/api/submissions', submission)).toMatchObject({
      status: 409,
      body: { code: 'runtime.stale_lease' },
    });
    expect(await facts(lost.taskId)).toEqual(before);
  });

  it('cannot push a commit', async () => {
    await git(['commit', '--quiet', '--allow-empty', '-m', 'braaains']);
    const push = git([
      'push',
      `--push-option=task=${lost.taskId}`,
      `--push-option=fence=${lost.fence}`,
      'origin',
      'HEAD:refs/for/main',
    ]);
    await expect(push).rejects.toThrow(/stale_lease/);
    expect(await facts(lost.taskId)).toEqual(before);
    const { items } = await owner.submissions.list({ taskId: lost.taskId });
    expect(items).toEqual([]);
  });

  it('disturbs the owner in nothing, who finishes as if nobody had been there', async () => {
    expect((await verb(held, 'progress', { message: 'at work', ratio: 0.5 })).status).toBe(200);
    expect((await verb(held, 'cost', { key: 'call', usd: 0.5 })).status).toBe(200);
    expect((await verb(held, 'complete', { output: { by: 'owner' } })).status).toBe(200);
    const task = await owner.tasks.get(held.taskId);
    expect(task).toMatchObject({ state: 'succeeded', output: { by: 'owner' }, costUsd: 0.5, attempt: 2 });
    expect(task.attempts.map(({ outcome }) => outcome).sort()).toEqual(['completed', 'expired']);
    // And now that it is done, the zombie is as stale as before.
    expect(await verb(lost, 'complete', { output: { by: 'zombie' } })).toMatchObject({ status: 409 });
  });
});

describe('the same end again, under the fence that made it', () => {
  const given = async (): Promise<{ task: TaskAssignment; instance: string }> => {
    const { id } = await create();
    const instance = await living();
    const task = await claim(instance, id);
    beatFor(instance, task);
    return { task, instance };
  };

  it.each([
    ['complete', { output: { n: 1 } }, { output: { n: 2 } }],
    ['fail', { error: 'not today', retryable: false }, { error: 'never' }],
    ['release', { reason: 'not mine' }, { reason: 'not mine at all' }],
  ])('gives the same answer to %s, and changes nothing', async (name, first, again) => {
    const { task, instance } = await given();
    const answer = await verb(task, name, first);
    expect(answer.status).toBe(200);
    // Whoever releases a task may get it again: it is to stay where it is for this comparison.
    await rest('POST', `/api/runtime/instances/${instance}/bye`, {});
    const settled = await facts(task.taskId);
    expect(await verb(task, name, first)).toEqual(answer);
    expect(await verb(task, name, again)).toEqual(answer);
    expect(await facts(task.taskId)).toEqual(settled);
    for (const other of ['complete', 'fail', 'release'].filter((one) => one !== name))
      expect(await verb(task, other, other === 'fail' ? { error: 'no' } : {})).toMatchObject({
        status: 409,
        body: { code: 'runtime.stale_lease' },
      });
    if (name === 'release') await owner.tasks.cancel(task.taskId, 'done with it');
  });

  it('counts a repeated cost once, and makes one submission of two', async () => {
    const { task } = await given();
    for (const usd of [0.25, 0.25]) expect((await verb(task, 'cost', { key: 'call', usd })).status).toBe(200);
    expect((await owner.tasks.get(task.taskId)).costUsd).toBe(0.25);
    const change = {
      taskId: task.taskId,
      fence: task.fence,
      base: head,
      message: 'once',
      files: [{ path: 'once.txt', content: '1' }],
    };
    const first = await rest<SubmissionView>('POST', '/api/submissions', change);
    expect(first.status).toBe(201);
    const again = await rest<SubmissionView>('POST', '/api/submissions', change);
    expect(again.body.id).toBe(first.body.id);
    expect(await verb(task, 'complete', { output: null })).toMatchObject({ status: 409 });
    expect((await owner.submissions.list({ taskId: task.taskId })).items).toHaveLength(1);
  });
});
