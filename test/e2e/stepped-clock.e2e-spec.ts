import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServerMessage } from '@muster/contracts';
import { defineAgent } from '@muster/sdk';
import { WebSocket } from 'ws';
import { type AgentAtWork, newAgentKey, startWithAgent } from '#test/agent-at-work';

async function until<T>(read: () => T | undefined): Promise<T> {
  for (const end = Date.now() + 45_000; ; await new Promise((wake) => setTimeout(wake, 20))) {
    const value = read();
    if (value !== undefined) return value;
    if (Date.now() > end) throw new Error('It did not come true.');
  }
}

describe('when the clock of the database is stepped past the last heartbeat of an agent', () => {
  let world: AgentAtWork;
  let socket: WebSocket;
  const heard: ServerMessage[] = [];
  const given = (taskId: string) =>
    until(() => heard.flatMap((one) => (one.type === 'task' && one.task.taskId === taskId ? [one.task] : []))[0]);

  beforeAll(async () => {
    const agent = defineAgent({ name: 'other', capabilities: { 'text.count': () => 1 } });
    world = await startWithAgent(agent, (definition) => ({
      ...definition,
      skills: [...definition.skills, { name: 'text.sum' }],
      limits: { concurrency: 4 },
    }));
    // It speaks once, and sends no heartbeat in this test.
    socket = new WebSocket(`${world.server.url.replace(/^http/, 'ws')}/api/runtime/connect`, {
      headers: { authorization: `Bearer ${await newAgentKey(world.server)}` },
    });
    socket.on('message', (data: Buffer) => heard.push(...(JSON.parse(data.toString()) as ServerMessage[])));
    await new Promise((open) => socket.once('open', open));
    socket.send(
      JSON.stringify([
        { type: 'hello', seq: 1, protocol: 1, agent: 'other', capabilities: ['text.sum'], capacity: 4 },
        { type: 'credit', seq: 2, count: 4 },
      ]),
    );
    await until(() => heard.find(({ type }) => type === 'welcome'));
  }, 120_000);
  afterAll(async () => {
    socket?.terminate();
    await world?.stop();
  });

  const stepped = () =>
    world.server.database.sql(`update instances set last_seen_at = last_seen_at - interval '1 hour'`);
  const task = () => world.client.tasks.create({ projectId: world.project, capability: 'text.sum', input: {} });

  it('what it says on its socket counts, and it is given what there is', async () => {
    await stepped();
    const { id } = await task();
    expect(await given(id)).toMatchObject({ attempt: 1 });
  });

  it('that holds for what others have lost as well', async () => {
    const { id } = await task();
    const { fence } = await given(id);
    // As if somebody else held it, whose lease the same step has ended.
    await world.server.database.sql(
      `update task_running set instance_id = 'inst_gone', lease_until = muster_now() where task_id = $1`,
      [id],
    );
    await stepped();
    const again = await until(() => {
      const all = heard.flatMap((one) => (one.type === 'task' && one.task.taskId === id ? [one.task] : []));
      return all.find((one) => one.fence > fence);
    });
    expect(again).toMatchObject({ attempt: 2 });
  });
});
