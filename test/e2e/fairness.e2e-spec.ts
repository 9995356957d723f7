import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApiKeyCreated, Tokens } from '@muster/contracts';
import { defineAgent, MusterClient, type RunningAgent } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';

/** Two teams on one server; the order in which what they asked for is begun is counted, no time is measured. */
describe('a team beside another one with ten times the load', () => {
  let server: TestServer;
  const running: RunningAgent[] = [];
  const begun: string[] = [];
  const agent = (team: string) =>
    defineAgent({
      name: 'counter',
      capacity: 10,
      capabilities: { 'text.count': () => (begun.push(team), 1) },
    });

  beforeAll(async () => {
    server = await startApp();
  }, 60_000);
  afterAll(async () => {
    await Promise.all(running.map((one) => one.stop()));
    await server?.close();
  });

  /** A project with one agent and a client, as the team's own people would set it up. */
  async function equip(team: string, token: string) {
    const client = new MusterClient({ url: server.url, token });
    const own = agent(team);
    const definition = { ...own.definition('1.0.0'), limits: { concurrency: 10 } };
    await client.agents.register({ definition, publish: true });
    const { id: projectId } = await client.projects.create({ name: `Texts of ${team}` });
    await client.projects.assign(projectId, { agent: 'counter', capabilities: ['text.count'] });
    const made = await server.request('POST', '/api/keys', { name: 'an agent' }, { token });
    const { secret } = (made as unknown as { body: ApiKeyCreated }).body;
    const create = async (count: number): Promise<void> => {
      const tasks = Array.from({ length: count }, () => ({ input: {} }));
      await client.tasks.createMany({ projectId, capability: 'text.count', tasks });
    };
    return { create, connect: async () => running.push(await own.connect({ url: server.url, token: secret })) };
  }
  async function until(good: () => boolean): Promise<void> {
    for (const end = Date.now() + 60_000; !good(); await new Promise((wake) => setTimeout(wake, 10)))
      if (Date.now() > end) throw new Error(`It did not come true: ${begun.length} begun`);
  }

  it('has its tasks begun as the other’s are: one for one while both have some, however much is queued behind', async () => {
    const owner = { email: 'owner@small.test', password: 'a password for tests' };
    await server.request('POST', '/api/teams', { name: 'Small', slug: 'small', owner });
    const login = await server.request('POST', '/api/auth/login', owner, { token: null });
    const small = await equip('small', (login as unknown as { body: Tokens }).body.accessToken);
    const large = await equip('large', server.admin.token);
    await large.connect();
    await small.connect();
    await large.create(1_000);
    await large.create(1_000);
    await small.create(200);
    await until(() => begun.filter((team) => team === 'small').length === 200);
    // What of the large team's was begun between the first and the last of the small one's.
    const between = begun.slice(begun.indexOf('small'), begun.lastIndexOf('small') + 1);
    expect(between.filter((team) => team === 'large').length).toBeLessThan(2 * 200);
    await until(() => begun.length === 2_200);
  }, 120_000);
});
