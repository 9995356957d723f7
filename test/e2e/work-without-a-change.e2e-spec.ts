import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApiKeyCreated, TaskDetail, TaskView } from '@muster/contracts';
import { defineAgent, MusterClient, type RunningAgent } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';

let server: TestServer;
let client: MusterClient;
let project: string;
const running: RunningAgent[] = [];

const handed: string[] = [];
const summarizer = defineAgent({
  name: 'summarizer',
  capabilities: {
    'text.summarize': async (task, ctx) => {
      handed.push(task.taskId);
      if (task.input['fail'] === true && task.attempt === 1) throw new Error('not the first time');
      if (task.input['wait'] === true) await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      await ctx.progress('reading', 0.5);
      await ctx.cost({ key: 'call', usd: 0.01 });
      return { words: 3 };
    },
  },
});
const connect = async (transport: 'socket' | 'http'): Promise<RunningAgent> => {
  const key = (await server.request('POST', '/api/keys', { name: `summarizer over ${transport}` })) as unknown as {
    body: ApiKeyCreated;
  };
  const agent = await summarizer.connect({ url: server.url, token: key.body.secret, transport });
  running.push(agent);
  return agent;
};
const execute = (input: TaskView['input'], waitSeconds = 20): Promise<TaskView> =>
  client.projects.execute(project, 'text.summarize', { input, waitSeconds });

beforeAll(async () => {
  server = await startApp({ env: { MUSTER_RETRY_DELAYS: '0.1' } });
  client = new MusterClient({ url: server.url, token: server.admin.token });
  await client.agents.register({ definition: summarizer.definition('1.0.0'), publish: true });
  project = (await client.projects.create({ name: 'Texts' })).id;
  await client.projects.assign(project, { agent: 'summarizer', capabilities: ['text.summarize'] });
}, 120_000);
afterAll(async () => {
  await Promise.all(running.map((agent) => agent.stop({ reason: 'the test is over' })));
  await server.close();
});

describe.each(['socket', 'http'] as const)('an agent on the SDK over %s', (transport) => {
  let agent: RunningAgent;
  beforeAll(async () => {
    agent = await connect(transport);
  });
  afterAll(() => agent.stop({ reason: 'done' }));

  it('answers a capability, and its progress and cost are on the task', async () => {
    const task = await execute({});
    expect(task).toMatchObject({ state: 'succeeded', output: { words: 3 }, costUsd: 0.01 });
    const detail: TaskDetail = await client.tasks.get(task.id);
    expect(detail.attempts).toMatchObject([{ outcome: 'completed', progress: 0.5, agent: 'summarizer' }]);
  });

  it('gets a task again that failed, with what was learnt', async () => {
    const task = await execute({ fail: true });
    expect(task).toMatchObject({ state: 'succeeded', attempt: 2 });
    expect(handed.filter((id) => id === task.id)).toHaveLength(2);
  });

  it('is told when its task is cancelled', async () => {
    const task = await execute({ wait: true }, 0);
    for (let tries = 0; tries < 200 && !handed.includes(task.id); tries += 1)
      await new Promise((go) => setTimeout(go, 25));
    expect(await client.tasks.cancel(task.id, 'not needed')).toMatchObject({ state: 'cancelled' });
    expect(await execute({})).toMatchObject({ state: 'succeeded' });
    expect(await client.tasks.get(task.id)).toMatchObject({ state: 'cancelled', output: null });
  });
});
