import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Priority, TaskAssignment } from '@muster/contracts';
import { defineAgent, type MusterClient } from '@muster/sdk';
import { type AgentAtWork, newAgentKey, startWithAgent } from '#test/agent-at-work';
import type { TestServer } from '#test/app';

/** One instance with one place; what it is given is written down, and goes on when the test says so. */
describe('the order in which a busy instance is given what waits', () => {
  let server: TestServer;
  let client: MusterClient;
  let project: string;
  let world: AgentAtWork | undefined;
  let given: string[] = [];
  let go = (): void => undefined;
  let open = Promise.resolve();
  const agent = defineAgent({
    name: 'only',
    capabilities: {
      'text.count': async ({ input }) => {
        given.push(input['name'] as string);
        await open;
        return 1;
      },
    },
  });
  const newKey = (): Promise<string> => newAgentKey(server);

  beforeAll(async () => {
    world = await startWithAgent(agent);
    ({ server, client, project } = world);
  }, 120_000);
  afterAll(async () => {
    go();
    await world?.stop();
  });
  beforeEach(async () => {
    given = [];
    open = new Promise((resolve) => (go = resolve));
    await create('busy', 'normal');
    await until(() => given.length === 1);
  });

  async function until(done: () => Promise<boolean> | boolean): Promise<void> {
    for (const end = Date.now() + 30_000; !(await done()); await new Promise((wake) => setTimeout(wake, 20)))
      if (Date.now() > end) throw new Error(`It did not come true: ${given.join(' ')}`);
  }
  const create = (name: string, priority: Priority) =>
    client.tasks.create({ projectId: project, capability: 'text.count', input: { name }, priority });
  /** Another instance takes what waits, which is this one alone, and gives it back: now it has conditions of its own. */
  const tried = async (name: string, priority: Priority): Promise<string> => {
    const { id } = await create(name, priority);
    const token = await newKey();
    const post = async <T>(path: string, body: object): Promise<T> =>
      ((await server.request('POST', path, body, { token })) as unknown as { body: T }).body;
    const hello = { protocol: 1, agent: 'only', version: '*', capabilities: ['text.count'], capacity: 1 };
    const { instanceId } = await post<{ instanceId: string }>('/api/runtime/instances', hello);
    const { tasks } = await post<{ tasks: TaskAssignment[] }>(`/api/runtime/instances/${instanceId}/claim`, {});
    expect(tasks.map(({ taskId }) => taskId)).toEqual([id]);
    for (const { taskId, fence } of tasks)
      await post(`/api/tasks/${taskId}/attempts/${fence}/release`, { reason: 'not now' });
    return id;
  };
  const aged = (taskId: string, seconds: number) =>
    server.database.sql(`update task_ready set ready_at = ready_at - make_interval(secs => $2) where task_id = $1`, [
      taskId,
      seconds,
    ]);
  /** While the rest is out of reach. */
  const aside = async (work: () => Promise<unknown>): Promise<void> => {
    await server.database.sql(`update task_ready set lane = 1000000 + lane`);
    await work();
    await server.database.sql(`update task_ready set lane = lane - 1000000 where lane > 500000`);
  };
  const orderOf = async (count: number): Promise<string[]> => {
    go();
    await until(() => given.length === count + 1);
    await until(async () => (await client.tasks.list({ projectId: project, state: 'running' })).items.length === 0);
    return given.slice(1);
  };

  it('goes by priority, also where a task of a lower one has conditions', async () => {
    await tried('low, tried', 'low');
    await aside(() => tried('high, tried', 'high'));
    await create('normal', 'normal');
    await create('critical', 'critical');
    expect(await orderOf(4)).toEqual(['critical', 'high, tried', 'normal', 'low, tried']);
  }, 60_000);

  it('lets nothing starve: what has waited long enough goes before urgent work, on either side', async () => {
    await aged(await tried('low, tried', 'low'), 3_000);
    await aside(() => tried('critical, tried', 'critical'));
    await aged((await create('low', 'low')).id, 2_000);
    await create('critical', 'critical');
    expect(await orderOf(4)).toEqual(['low, tried', 'low', 'critical, tried', 'critical']);
  }, 60_000);

  it('is the same where tasks stick to whoever did another one', async () => {
    const stick = (name: string, priority: Priority) =>
      client.tasks.create({
        projectId: project,
        capability: 'text.count',
        input: { name },
        priority,
        sticky: { key: 'k' },
      });
    await stick('low, sticky', 'low');
    await create('normal', 'normal');
    await stick('critical, sticky', 'critical');
    expect(await orderOf(3)).toEqual(['critical, sticky', 'normal', 'low, sticky']);
  }, 60_000);

  it('is the same where they are limited', async () => {
    const { id } = await client.limits.set({ projectId: project, capability: 'text.count', maxRunning: 2 });
    await tried('normal, tried', 'normal');
    await create('low', 'low');
    await create('critical', 'critical');
    expect(await orderOf(3)).toEqual(['critical', 'normal, tried', 'low']);
    await client.limits.remove(id);
  }, 60_000);
});
