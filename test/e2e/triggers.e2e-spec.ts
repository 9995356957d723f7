import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { startApp, type TestServer } from '#test/app';

let server: TestServer;
beforeAll(async () => {
  server = await startApp();
}, 120_000);
afterAll(() => server.close());

interface Answer {
  status: number;
  body: Record<string, unknown> & { id: string; items: Record<string, unknown>[] };
}
const call = async (method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> =>
  server.request(method, path, body, headers === undefined ? {} : { headers });

const definition = `
metadata: { name: fixer, version: 1.0.0 }
skills:
  - name: code.fix
    input: { type: object, required: [title], properties: { title: { type: string } } }
triggers:
  - event: issue.opened
    capability: code.fix
    where: { kind: bug }
    priority: high
    input: { title: $data.title, issue: $data }
`;

describe('a trigger in a published definition', () => {
  it('starts a task on the project where the agent is assigned, once, and the stream tells of it', async () => {
    const registered = await call('POST', '/api/agents?publish=true', definition, {
      'content-type': 'application/yaml',
    });
    expect(registered).toMatchObject({ status: 201, body: { state: 'published' } });
    const projects: string[] = [];
    for (const name of ['With it', 'Without it']) {
      const { status, body } = await call('POST', '/api/projects', { name });
      expect({ status, body }).toMatchObject({ status: 201 });
      projects.push(body.id);
    }
    const [withIt] = projects;
    const assignment = await call('POST', `/api/projects/${withIt}/agents`, {
      agent: 'fixer',
      capabilities: ['code.fix'],
    });
    expect(assignment).toMatchObject({ status: 201 });

    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/stream`, {
      headers: { authorization: `Bearer ${server.admin.token}` },
    });
    const told: string[] = [];
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'subscribe', projectId: withIt, types: ['task.created'] })),
    );
    socket.on('message', (raw) => {
      const message = JSON.parse((raw as Buffer).toString('utf8')) as { type: string; events?: { type: string }[] };
      told.push(message.type, ...(message.events ?? []).map(({ type }) => type));
    });
    await until(() => told.includes('subscribed'));

    const key = { 'idempotency-key': 'issue-7' };
    const issue = { type: 'issue.opened', data: { kind: 'bug', title: 'It crashes' } };
    const published = await call('POST', '/api/events/publish', issue, key);
    expect(published).toMatchObject({ status: 202 });
    expect(await call('POST', '/api/events/publish', issue, key)).toMatchObject({
      status: 202,
      body: { id: published.body.id },
    });
    await call('POST', '/api/events/publish', { type: 'issue.opened', data: { kind: 'question', title: 'Why?' } });

    await until(() => told.includes('task.created'));
    await until(async () => {
      const [delivery] = await server.database.sql(`select from event_deliveries where reaction like 'start-tasks%'`);
      return delivery === undefined;
    });
    const tasks = await call('GET', `/api/tasks?projectId=${withIt}`);
    expect(tasks.body.items).toMatchObject([
      {
        capability: 'code.fix',
        state: 'queued',
        priority: 'high',
        input: { title: 'It crashes', issue: { kind: 'bug' } },
      },
    ]);
    expect((await call('GET', `/api/tasks?projectId=${projects[1]}`)).body.items).toEqual([]);
    socket.close();
  });

  it('keeps an agent from being deleted while it is assigned', async () => {
    expect(await call('DELETE', '/api/agents/fixer')).toMatchObject({
      status: 409,
      body: { code: 'registry.agent_in_use' },
    });
  });
});

async function until(look: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('It did not come true in 10 s.');
}
