import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Problem, ServerMessage } from '@muster/contracts';
import { defineAgent, type MusterClient } from '@muster/sdk';
import { WebSocket } from 'ws';
import { type AgentAtWork, newAgentKey, startWithAgent } from '#test/agent-at-work';
import type { TestServer } from '#test/app';

describe('bad input to a running server', () => {
  let server: TestServer;
  let client: MusterClient;
  let project: string;
  let world: AgentAtWork | undefined;
  const agent = defineAgent({ name: 'polite', capabilities: { 'text.count': () => 1 } });
  const newKey = (): Promise<string> => newAgentKey(server);

  beforeAll(async () => {
    const input = { type: 'object', properties: { words: { type: 'array' } } };
    world = await startWithAgent(agent, (definition) => ({
      ...definition,
      skills: definition.skills.map((skill) => ({ ...skill, input })),
    }));
    ({ server, client, project } = world);
  }, 120_000);
  afterAll(async () => {
    await world?.stop();
  });
  /** What the others notice of it. */
  const othersWork = async (): Promise<void> =>
    expect(await client.projects.execute(project, 'text.count', { waitSeconds: 60 })).toMatchObject({
      state: 'succeeded',
      attempt: 1,
    });
  const ask = async (
    path: string,
    body: object,
  ): Promise<{ status: number; body: Problem & Record<string, unknown> }> => await server.request('POST', path, body);
  const create = (more: object) => ask('/api/tasks', { projectId: project, capability: 'text.count', ...more });
  const bulk = (tasks: object[]) => ask('/api/tasks/bulk', { projectId: project, capability: 'text.count', tasks });

  it.each([
    ['a capability that nobody has', { capability: 'no.such' }, 422, 'runtime.no_agent'],
    ['a capability that is no word', { capability: '../x' }, 400, 'request.invalid'],
    ['input that fails its schema', { input: { words: 7 } }, 422, 'runtime.input_invalid'],
    ['a deadline in the past', { deadline: '2001-01-01T00:00:00Z' }, 400, 'runtime.deadline_passed'],
    ['a range of versions that is none', { agent: 'polite', agentVersion: '!!' }, 400, 'runtime.version_wish_invalid'],
    ['stickiness to nobody', { sticky: {} }, 400, 'runtime.sticky_to_nothing'],
    ['a parent that there is not', { parentId: 'task_01jd9x0m4ve2tbk6x3h2v4q8zr' }, 404, 'request.not_found'],
  ])('%s is refused, with what to do', async (_, more, status, code) => {
    const answer = await create(more);
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
    expect(answer.body.detail).toMatch(/\.$/);
  });

  it('a circle of dependencies is refused item by item', async () => {
    const { status, body } = await bulk([{ dependsOn: [1] }, { dependsOn: [0] }, { dependsOn: [2] }, {}]);
    expect(status).toBe(200);
    expect((body['items'] as { problem?: Problem }[]).map(({ problem }) => problem?.code)).toEqual([
      'runtime.dependency_cycle',
      'runtime.dependency_refused',
      'runtime.dependency_cycle',
      undefined,
    ]);
  });

  it('an input of 10 MB is refused with the limit, alone and among many, and so is a body that is larger still', async () => {
    const input = { text: 'x'.repeat(10_000_000) };
    const large = await create({ input });
    expect(large).toMatchObject({ status: 413, body: { code: 'runtime.input_too_large' } });
    expect(large.body.detail).toMatch(/at most 4194304/);
    const { body } = await bulk([{ input: {} }, { input }]);
    expect(body['items']).toMatchObject([{ created: true }, { created: false, problem: { status: 413 } }]);
    expect(await create({ input: { text: 'x'.repeat(30_000_000) } })).toMatchObject({ status: 413 });
    await othersWork();
  }, 60_000);

  it('more children in a request than it takes are refused with how many it may be', async () => {
    const parent = await client.tasks.create({ projectId: project, capability: 'text.count', input: {} });
    const many = await bulk(Array.from({ length: 200_000 }, () => ({ parentId: parent.id })));
    expect(many.status).toBe(400);
    expect(many.body.errors).toEqual([
      expect.objectContaining({ path: 'tasks', message: expect.stringMatching(/1000/) }),
    ]);
    await othersWork();
  }, 60_000);

  it('more children than a task may have are refused, and those that there are stay', async () => {
    const parent = await client.tasks.create({ projectId: project, capability: 'text.count', input: {} });
    await server.database.sql(
      `insert into tasks (id, team_id, project_id, capability, input, priority, state, ended_as, lane, max_attempts, parent_id, requested_by, created_at, updated_at, finished_at)
       select 'task_' || n, team_id, project_id, capability, input, priority, 'cancelled', 'cancelled', lane, max_attempts, id, requested_by, created_at, updated_at, now()
       from tasks, generate_series(1, 100000) as n where id = $1`,
      [parent.id],
    );
    expect(await create({ parentId: parent.id })).toMatchObject({
      status: 422,
      body: { code: 'runtime.too_many_children', detail: expect.stringMatching(/100000/) },
    });
    await server.database.sql(`delete from tasks where parent_id = $1`, [parent.id]);
    expect((await create({ parentId: parent.id })).status).toBe(201);
  }, 120_000);

  it('what is no message is answered or ends its own connection, and nobody else notices', async () => {
    const hello = { type: 'hello', seq: 1, protocol: 1, agent: 'polite', capabilities: ['text.count'] };
    for (const frame of [
      'not json',
      '{}',
      '[]',
      '[null]',
      '[{"type":"no-such","seq":1}]',
      JSON.stringify([hello, { type: 'complete', seq: 2, taskId: 'task_x', fence: 'one', output: {} }]),
      JSON.stringify([{ type: 'heartbeat', seq: 1, held: [] }]),
      JSON.stringify([{ ...hello, protocol: 99 }]),
      Buffer.alloc(100, 255),
    ]) {
      const socket = new WebSocket(`${server.url.replace(/^http/, 'ws')}/api/runtime/connect`, {
        headers: { authorization: `Bearer ${await newKey()}` },
      });
      const heard: ServerMessage[] = [];
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      socket.on('message', (data: Buffer) => heard.push(...(JSON.parse(data.toString()) as ServerMessage[])));
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('open', resolve));
      socket.send(frame);
      // Whatever it was: the connection goes on to be of use, or is closed.
      socket.send(JSON.stringify([{ ...hello, seq: 7 }]));
      const welcomed = new Promise<void>((resolve) => {
        const look = setInterval(() => {
          if (!heard.some(({ type }) => type === 'welcome')) return;
          clearInterval(look);
          resolve();
        }, 10).unref();
      });
      await Promise.race([closed, welcomed]);
      socket.send(JSON.stringify([{ type: 'bye', seq: 8 }]));
      socket.terminate();
    }
    await othersWork();
  }, 60_000);
});
