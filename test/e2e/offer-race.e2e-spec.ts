import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { TaskAssignment } from '@muster/contracts';
import { MusterClient } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';

let server: TestServer;
let owner: MusterClient;
let projectId: string;
let token: string;
let instanceId: string;
const rest = async <T>(path: string, body: unknown): Promise<T> =>
  (await server.request('POST', path, body, { token })).body;

beforeAll(async () => {
  server = await startApp({ env: { MUSTER_ROLE: 'api', MUSTER_LEASE_SECONDS: '600' } });
  owner = new MusterClient({ url: server.url, token: server.admin.token });
  const definition = {
    metadata: { name: 'worker', version: '1.0.0' },
    skills: [{ name: 'race.work' }],
    limits: { concurrency: 10 },
  };
  await owner.agents.register({ definition, publish: true });
  projectId = (await owner.projects.create({ name: 'Races' })).id;
  await owner.projects.assign(projectId, { agent: 'worker', capabilities: ['race.work'] });
  token = (await owner.keys.create({ name: 'worker' })).secret;
  const hello = { agent: 'worker', capabilities: ['race.work'], capacity: 10 };
  ({ instanceId } = await rest<{ instanceId: string }>('/api/runtime/instances', hello));
}, 120_000);
afterAll(() => server.close());

it.each(['complete', 'progress'])(
  'an offer that is being made while its holder says %s is not left behind',
  async (verb) => {
    const { id } = await owner.tasks.create({ projectId, capability: 'race.work' });
    const claim = `/api/runtime/instances/${instanceId}/claim`;
    const { tasks } = await rest<{ tasks: TaskAssignment[] }>(claim, { waitSeconds: 10, count: 1 });
    const fence = tasks[0]!.fence;
    expect(tasks[0]!.taskId).toBe(id);
    let said: Promise<unknown> = Promise.resolve();
    await server.database.transaction(async (tx) => {
      // What the sweep does with an expired lease, held open before its commit.
      await tx.sql(
        `update task_running set expiry_told = true, ready_seq = nextval('task_ready_seq'), lease_until = muster_now() - interval '1 s' where task_id = $1`,
        [id],
      );
      await tx.sql(
        `insert into task_ready (lane, seq, task_id, ready_at, attempts, expired_fence) select -lane, ready_seq, task_id, muster_now(), 1, fence from task_running where task_id = $1`,
        [id],
      );
      const [begun] = await server.database.sql<{ at: Date }>(`select clock_timestamp() as at`);
      said = rest(
        `/api/tasks/${id}/attempts/${fence}/${verb}`,
        verb === 'progress' ? { message: 'here' } : { output: null },
      );
      for (let tries = 0; tries < 400; tries += 1) {
        // A report waits for the row; a completion meets it, and comes again.
        const met = await server.database.sql(
          `select 1 from pg_stat_activity where datname = current_database()
             and (wait_event_type = 'Lock' or (state = 'idle' and query like '%"eventId" text, data jsonb%' and query_start > $1))`,
          [begun?.at],
        );
        if (met.length > 0) return;
        // PostgreSQL ends a transaction in which nothing is said for two seconds.
        await tx.sql('select 1');
        await new Promise((go) => setTimeout(go, 25));
      }
      throw new Error('the verb never met the row');
    });
    await said;
    // Whoever looks for something to claim may take it away.
    await rest(claim, { waitSeconds: 0, count: 1 });
    const { invariants } = await owner.doctor.invariants();
    expect(invariants.filter(({ ok }) => !ok)).toEqual([]);
    await owner.tasks.cancel(id, 'done').catch(() => undefined);
  },
);
