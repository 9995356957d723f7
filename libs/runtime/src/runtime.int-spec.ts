import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  agentDefinition,
  permissions,
  type Permission,
  type Problem,
  type ServerMessage,
  type TaskAssignment,
  type TaskDetail,
  type TaskView,
} from '@muster/contracts';
import { Global, Module } from '@nestjs/common';
import { CommandBus, CqrsModule, type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { WebSocket } from 'ws';
import { Clock, Ids, SystemClock, SystemIds } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import { FindAssignedAgents, FindProject, FindProjectTeam } from '#messages/projects';
import { FindPublishedVersion } from '#messages/registry';
import { CancelTask, LeaseGuard, type NewTask, SettleSubmittedTask, StartTask } from '#messages/runtime';
import { BlobsModule } from '#platform/blobs';
import { Config, loadConfig } from '#platform/config';
import { Database } from '#platform/database';
import { EventLogModule } from '#platform/eventlog';
import { HttpModule, OwnedIds, SocketAdapter } from '#platform/http';
import { testDatabase, type TestDatabase } from '#test/database';
import { ClaimTasks } from './commands/claim-tasks.ts';
import { ConnectInstance } from './commands/connect-instance.ts';
import { DisconnectInstance } from './commands/disconnect-instance.ts';
import { RenewLeases } from './commands/renew-leases.ts';
import { RetryTask } from './commands/retry-task.ts';
import { LeaseSweep } from './dispatch/sweep.ts';
import type { InstanceRow } from './domain/task-row.ts';
import { RuntimeModule } from './runtime.module.ts';

const ids = new SystemIds();
const team = ids.next('team');
const project = ids.next('project');
const head = 'a'.repeat(40);

const actors = new Map<string, Actor>();
const newActor = (more: Partial<Actor> = {}): Actor => {
  const actor: Actor = {
    kind: 'key',
    id: ids.next('apiKey'),
    name: 'key',
    teamId: team,
    permissions: new Set(permissions.filter((one) => one !== 'system.verify')),
    projects: new Map(),
    onlyProjectId: null,
    ...more,
  };
  actors.set(actor.id, actor);
  return actor;
};
class ById extends Authenticator {
  async authenticate(credential: string): Promise<Actor | null> {
    return actors.get(credential) ?? null;
  }
  allows(actor: Actor, permission: Permission): boolean {
    return actor.permissions.has(permission);
  }
  onRevoked(): () => void {
    return () => undefined;
  }
  issueSystemKey(): Promise<string> {
    return Promise.reject(new Error('no keys here'));
  }
}

/** The neighbours, as far as dispatch asks them: every agent has these skills, in one published version. */
const definition = (name: string, limits: object = {}) =>
  agentDefinition.parse({
    metadata: { name, version: '1.2.0' },
    skills: [
      {
        name: 'code.change',
        input: { type: 'object', properties: { file: { type: 'string' } }, required: ['file'] },
        output: { type: ['object', 'null'] },
      },
      { name: 'code.review' },
    ],
    limits: { concurrency: 100, ...limits },
  });
const agents = new Map([
  ['coder', definition('coder')],
  ['thrifty', definition('thrifty', { costUsd: 1, timeout: '60s' })],
]);
let assigned: { agent: string; versionRange: string }[] = [];
const assignedByDefault = [
  { agent: 'coder', versionRange: '^1.0.0' },
  { agent: 'thrifty', versionRange: '*' },
];
@QueryHandler(FindProject)
class Projects implements IQueryHandler<FindProject> {
  async execute({ projectId }: FindProject) {
    const known = await test.sql(`select id from projects_here where id = $1`, [projectId]);
    if (known.length === 0) return null;
    return {
      id: projectId,
      teamId: team,
      name: 'P',
      slug: 'p',
      branch: 'main',
      head,
      gitPath: `/git/${projectId}.git`,
      createdAt: new Date(0).toISOString(),
      importedHead: null,
    };
  }
}
@QueryHandler(FindProjectTeam)
class ProjectTeams implements IQueryHandler<FindProjectTeam> {
  async execute({ projectId }: FindProjectTeam) {
    const known = await test.sql(`select id from projects_here where id = $1`, [projectId]);
    return known.length === 0 ? null : team;
  }
}
@QueryHandler(FindAssignedAgents)
class Assigned implements IQueryHandler<FindAssignedAgents> {
  async execute({ capability }: FindAssignedAgents) {
    return capability.startsWith('code.') ? assigned : [];
  }
}
@QueryHandler(FindPublishedVersion)
class Published implements IQueryHandler<FindPublishedVersion> {
  async execute({ agent }: FindPublishedVersion) {
    const found = agents.get(agent);
    return found === undefined
      ? null
      : { agentId: 'agent', agentVersionId: 'agv', name: agent, version: found.metadata.version, definition: found };
  }
}

let test: TestDatabase;
let app: NestFastifyApplication;
let database: Database;
let url: string;
const person = newActor({ kind: 'user', id: ids.next('user') });

beforeAll(async () => {
  test = await testDatabase();
  database = await test.open();
  await test.sql(`create table projects_here (id text primary key, team_id text)`);
  await test.sql(`insert into projects_here values ($1, $2)`, [project, team]);
  OwnedIds.register('project', 'projects_here', { project: 'id' });
  @Global()
  @Module({
    providers: [
      { provide: Database, useValue: database },
      // Role api: the sweep runs when a test says so.
      { provide: Config, useValue: loadConfig({ MUSTER_ROLE: 'api' }) },
      { provide: Ids, useValue: ids },
      { provide: Clock, useClass: SystemClock },
      { provide: Authenticator, useClass: ById },
    ],
    exports: [Database, Config, Ids, Clock, Authenticator],
  })
  class Ground {}
  const testing = await Test.createTestingModule({
    imports: [Ground, CqrsModule.forRoot(), HttpModule, EventLogModule, BlobsModule, RuntimeModule],
    providers: [Projects, ProjectTeams, Assigned, Published],
  }).compile();
  app = testing.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  app.useWebSocketAdapter(app.get(SocketAdapter));
  await app.listen(0, '127.0.0.1');
  url = await app.getUrl();
  assigned = [...assignedByDefault];
}, 60_000);
afterAll(async () => {
  await app.close();
  await test.drop();
});

/** What a test leaves running would be offered to the next ones when its lease runs out. */
afterEach(async () => {
  await setAside();
  for (const { id } of await test.sql<{ id: string }>(`select task_id as id from task_running`))
    await run(new CancelTask(id, 'the test is over'));
});

const run = <T>(command: Parameters<CommandBus['execute']>[0]): Promise<T> =>
  app.get(CommandBus).execute<typeof command, T>(command);
const start = (more: Partial<NewTask> = {}): Promise<TaskView> =>
  run(
    new StartTask({
      teamId: team,
      projectId: project,
      capability: 'code.change',
      input: { file: 'a.ts' },
      requestedBy: person.id,
      ...more,
    }),
  );
const connect = (
  more: {
    actor?: Actor;
    agent?: string;
    capacity?: number;
    labels?: Record<string, string>;
    resume?: string;
    capabilities?: string[];
  } = {},
): Promise<InstanceRow> =>
  run(
    new ConnectInstance(
      more.actor ?? newActor(),
      {
        protocol: 1,
        agent: more.agent ?? 'coder',
        version: '*',
        capabilities: more.capabilities ?? ['code.change', 'code.review'],
        capacity: more.capacity ?? 1,
        labels: more.labels ?? {},
        ...(more.resume === undefined ? {} : { resume: more.resume }),
      },
      'poll',
    ),
  );
/** Straight at the claim, for one capability of the project. */
const take = (instance: InstanceRow, count = 1, capability = 'code.change'): Promise<TaskAssignment[]> =>
  run(new ClaimTasks(actorOf(instance), { ...instance, capabilities: [capability] }, count));
/** What is claimable waits aside, but for one. */
const setAside = (but: string | null = null) =>
  test.sql(
    `with gone as (delete from task_ready where task_id <> coalesce($1, '') returning task_id),
     later as (insert into task_due (task_id, kind, at) select task_id, 'delay', '2999-01-01' from gone on conflict do nothing)
     update tasks set ready_seq = null where id in (select task_id from gone)`,
    [but],
  );
/** Claims this very task: everything else waits aside meanwhile. */
async function takeOnly(instance: InstanceRow, taskId: string): Promise<TaskAssignment> {
  await setAside(taskId);
  const [task] = await take(instance);
  if (task?.taskId !== taskId) throw new Error(`claimed ${task?.taskId ?? 'nothing'} instead of ${taskId}`);
  return task;
}
/** As if its holder had been silent until its lease had been over for so long. */
async function expire(taskId: string, seconds = 1): Promise<void> {
  const ago = [taskId, seconds];
  await test.sql(
    `update task_running set lease_until = muster_now() - make_interval(secs => $2) where task_id = $1`,
    ago,
  );
  await test.sql(
    `update task_ready set avoid_until = muster_now() + make_interval(secs => 30 - $2::float8) where task_id = $1 and expired_fence is not null`,
    ago,
  );
  await test.sql(
    `update task_due set at = muster_now() + make_interval(secs => 30 - $2::float8) where task_id = $1 and kind = 'exhausted'`,
    ago,
  );
  await sweep();
}
const sweep = () => app.get(LeaseSweep).once();

interface Answer<T> {
  status: number;
  body: T & Problem;
}
async function call<T = Record<string, unknown>>(
  actor: Actor,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  const response = await fetch(`${url}/api${path}`, {
    method,
    headers: {
      authorization: `Bearer ${actor.id}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T & Problem };
}
const actorOf = (instance: InstanceRow): Actor => {
  const actor = actors.get(instance.actor_id);
  if (actor === undefined) throw new Error('an instance without its actor');
  return actor;
};
const verb = (instance: InstanceRow, task: { taskId: string; fence: number }, name: string, body: unknown = {}) =>
  call(actorOf(instance), 'POST', `/tasks/${task.taskId}/attempts/${task.fence}/${name}`, body);
const show = async (taskId: string): Promise<TaskDetail> =>
  (await call<TaskDetail>(person, 'GET', `/tasks/${taskId}`)).body;
const eventsOf = async (taskId: string): Promise<string[]> =>
  (await test.sql<{ type: string }>(`select type from events where subject = $1 order by position`, [taskId])).map(
    ({ type }) => type,
  );
const guard = () => app.get(LeaseGuard);
const submit = async (task: TaskAssignment): Promise<string> => {
  const submissionId = ids.next('submission');
  await database.transaction(async (tx) =>
    guard().submitted(tx, await guard().hold(tx, task.taskId, task.fence), submissionId),
  );
  return submissionId;
};

const everyWrite: readonly (readonly [string, unknown])[] = [
  ['progress', { message: 'still here', ratio: 0.5 }],
  ['log', { lines: ['still here'] }],
  ['cost', { key: 'k', usd: 1 }],
  ['checkpoint', { state: { at: 1 } }],
  ['complete', { output: { by: 'zombie' } }],
  ['fail', { error: 'no' }],
  ['release', { reason: 'no' }],
];

describe('a lost attempt', () => {
  it('is refused every write, and the owner notices nothing', async () => {
    // Two processes with one key: nothing but the fence tells them apart.
    const actor = newActor();
    const [zombie, owner] = [await connect({ actor }), await connect({ actor })];
    const { id } = await start();
    const lost = await takeOnly(zombie, id);
    await expire(id);
    const held = await takeOnly(owner, id);
    expect(held.fence).toBeGreaterThan(lost.fence);
    expect(held).toMatchObject({ attempt: 2, lessons: [{ attempt: 1, outcome: 'expired' }] });
    const before = await show(id);

    for (const [name, body] of everyWrite) {
      const answer = await verb(zombie, lost, name, body);
      expect({ name, status: answer.status, code: answer.body.code }).toEqual({
        name,
        status: 409,
        code: 'runtime.stale_lease',
      });
    }
    await expect(database.transaction((tx) => guard().hold(tx, id, lost.fence))).rejects.toMatchObject({
      code: 'runtime.stale_lease',
    });
    const beat = await call<{ stale: unknown[] }>(
      actorOf(zombie),
      'POST',
      `/runtime/instances/${zombie.id}/heartbeat`,
      { held: [{ taskId: id, fence: lost.fence }] },
    );
    expect(beat.body.stale).toEqual([{ taskId: id, fence: lost.fence }]);

    expect(await show(id)).toEqual(before);
    expect((await verb(owner, held, 'complete', { output: { by: 'owner' } })).status).toBe(200);
    expect(await show(id)).toMatchObject({ state: 'succeeded', output: { by: 'owner' }, costUsd: 0 });
    expect((await eventsOf(id)).filter((type) => type === 'task.succeeded')).toHaveLength(1);
  });

  it('cannot use the fence of the owner: the attempt is its key’s alone', async () => {
    const [thief, owner] = [await connect(), await connect()];
    const { id } = await start();
    const held = await takeOnly(owner, id);
    for (const [name, body] of everyWrite) expect((await verb(thief, held, name, body)).status).toBe(409);
    expect((await show(id)).state).toBe('running');
  });
});

describe('a lease', () => {
  it('that ran out but was claimed by nobody still accepts its holder', async () => {
    const holder = await connect();
    const { id } = await start();
    const held = await takeOnly(holder, id);
    await expire(id, 20);
    await sweep();
    expect(await eventsOf(id)).toEqual(['task.created', 'task.started', 'task.lease_expired']);
    expect((await verb(holder, held, 'progress', { message: 'late' })).status).toBe(200);
    expect((await verb(holder, held, 'complete', { output: null })).status).toBe(200);
    expect((await show(id)).state).toBe('succeeded');
  });

  it('that ran out is claimable at once by another instance, and after one more lease by its own', async () => {
    const [first, second] = [await connect({ capacity: 5 }), await connect()];
    const { id } = await start();
    await takeOnly(first, id);
    await expire(id);
    expect(await take(first)).toEqual([]);
    expect(await take(second)).toMatchObject([{ taskId: id, attempt: 2 }]);
    await expire(id, 31);
    expect(await take(first)).toMatchObject([{ taskId: id, attempt: 3 }]);
    expect((await show(id)).attempts.map(({ outcome }) => outcome)).toEqual([null, 'expired', 'expired']);
  });

  it('that runs out too often ends with a person', async () => {
    const [first, second] = [await connect({ capacity: 5 }), await connect({ capacity: 5 })];
    const { id } = await start({ maxAttempts: 2 });
    await takeOnly(first, id);
    await expire(id);
    await takeOnly(second, id);
    await expire(id);
    expect(await take(first)).toEqual([]);
    await expire(id, 31);
    await sweep();
    expect(await show(id)).toMatchObject({ state: 'waiting', wait: { reason: 'person' } });
    expect((await call<TaskView>(person, 'POST', `/tasks/${id}/retry`)).body.state).toBe('queued');
    expect(await takeOnly(first, id)).toMatchObject({ attempt: 3 });
  });

  it('is renewed by a heartbeat', async () => {
    const holder = await connect();
    const { id } = await start();
    const held = await takeOnly(holder, id);
    await expire(id);
    expect(
      (
        await call(actorOf(holder), 'POST', `/runtime/instances/${holder.id}/heartbeat`, {
          held: [{ taskId: id, fence: held.fence }],
        })
      ).body,
    ).toEqual({ stale: [], wanted: 'run', wantedReason: null });
    expect(await take(await connect())).toEqual([]);
    expect((await verb(holder, held, 'release')).status).toBe(200);
  });

  it('is not handed to an instance that has gone silent', async () => {
    const silent = await connect();
    await test.sql(`update instances set last_seen_at = muster_now() - interval '16 seconds' where id = $1`, [
      silent.id,
    ]);
    const { id } = await start();
    expect(await take(silent)).toEqual([]);
    await test.sql(`update instances set last_seen_at = muster_now() - interval '61 seconds' where id = $1`, [
      silent.id,
    ]);
    await sweep();
    const listed = await call<{ items: { id: string; state: string }[] }>(
      person,
      'GET',
      '/instances?state=offline&limit=200',
    );
    expect(listed.body.items.map((one) => one.id)).toContain(silent.id);
    await run(new CancelTask(id, 'done'));
  });

  it('ends when the attempt takes longer than its definition allows, however alive it is', async () => {
    const holder = await connect({ agent: 'thrifty' });
    const { id } = await start({ agent: 'thrifty' });
    const held = await takeOnly(holder, id);
    await test.sql(`update task_running set deadline_at = muster_now() - interval '1 second' where task_id = $1`, [id]);
    await sweep();
    expect(await show(id)).toMatchObject({
      state: 'waiting',
      wait: { reason: 'retry' },
      error: expect.stringContaining('timed out after 60 s'),
    });
    expect((await verb(holder, held, 'complete')).status).toBe(409);
  });

  describe('that has a time limit', () => {
    const times = (id: string, deadline: string, lease = '1 hour') =>
      test.sql(
        `update task_running set deadline_at = muster_now() + $2::interval, lease_until = muster_now() + $3::interval where task_id = $1`,
        [id, deadline, lease],
      );
    const due = () => app.get(LeaseSweep)['due']();
    const dueUntil = async (come: () => Promise<boolean>): Promise<void> => {
      for (let tries = 0; !(await come()); tries += 1) {
        if (tries > 800) throw new Error('It did not come true.');
        await new Promise((resolve) => setTimeout(resolve, 25));
        await due();
      }
    };
    const isOver = async (id: string): Promise<boolean> => (await show(id)).state !== 'running';

    it('is not read each second for that, and ends when it has taken too long', async () => {
      const holder = await connect({ agent: 'thrifty' });
      const { id } = await start({ agent: 'thrifty' });
      await takeOnly(holder, id);
      await times(id, '1 hour');
      await sweep();
      const asked = jest.spyOn(app.get(Database), 'sql');
      const looks = () => asked.mock.calls.filter(([text]) => text.includes('r.deadline_at')).length;
      try {
        for (let n = 0; n < 20; n += 1) await due();
        expect(looks()).toBe(0);
        // An instance that has less time for an attempt than anybody had when it was looked last.
        await test.sql(`update instances set limits = limits || '{"timeoutSeconds": 0.001}' where id = $1`, [
          holder.id,
        ]);
        await dueUntil(() => Promise.resolve(looks() > 0));
      } finally {
        asked.mockRestore();
        await test.sql(`update instances set limits = limits || '{"timeoutSeconds": 60}' where id = $1`, [holder.id]);
      }
      await times(id, '2 seconds');
      await sweep();
      await dueUntil(() => isOver(id));
      expect(await show(id)).toMatchObject({ error: expect.stringContaining('timed out after 60 s') });
    });

    it('ends also where its lease had run out when it was looked, and its holder came back', async () => {
      const holder = await connect({ agent: 'thrifty' });
      const { id } = await start({ agent: 'thrifty' });
      await takeOnly(holder, id);
      await times(id, '-1 second', '-1 second');
      await sweep();
      expect(await isOver(id)).toBe(false);
      await times(id, '-1 second');
      await dueUntil(() => isOver(id));
      expect(await show(id)).toMatchObject({ error: expect.stringContaining('timed out after 60 s') });
    });
  });
});

describe('the same verb with the same fence', () => {
  it.each([
    ['complete', { output: { n: 1 } }, 'succeeded'],
    ['fail', { error: 'broken' }, 'waiting'],
    ['release', { reason: 'busy' }, 'queued'],
  ])('answers the same: %s', async (name, body, state) => {
    const holder = await connect();
    const { id } = await start();
    const held = await takeOnly(holder, id);
    const answers = await Promise.all(Array.from({ length: 5 }, () => verb(holder, held, name, body)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    for (const answer of answers) expect(answer.body).toEqual(answers[0]?.body);
    expect(answers[0]?.body).toMatchObject({ taskId: id, fence: held.fence, state });
    expect((await show(id)).attempts).toHaveLength(1);
    await setAside();
  });

  it('charges a cost once for each key, and for everything above the task', async () => {
    const holder = await connect({ capacity: 3 });
    const parent = await start();
    const child = await start({ parentId: parent.id });
    const held = await takeOnly(holder, child.id);
    const report = { key: 'call-1', usd: 0.25, model: 'm', inputTokens: 10 };
    const reports = await Promise.all(Array.from({ length: 10 }, () => verb(holder, held, 'cost', report)));
    expect(reports.filter(({ body }) => (body as unknown as { counted: boolean }).counted)).toHaveLength(1);
    await verb(holder, held, 'cost', { key: 'call-2', usd: 0.5 });
    expect((await show(child.id)).costUsd).toBe(0.75);
    expect((await show(parent.id)).costUsd).toBe(0.75);
    await verb(holder, held, 'complete');
    await run(new CancelTask(parent.id, 'done'));
  });
});

describe('a failure', () => {
  it('is tried again after 5, 15 and 30 seconds, then by another instance, then a person is asked', async () => {
    const [first, second] = [await connect(), await connect()];
    const { id } = await start();
    for (const delay of [5, 15, 30]) {
      const held = await takeOnly(first, id);
      const before = Date.now();
      const answer = await verb(first, held, 'fail', { error: `failed before ${delay}` });
      const { wait } = await show(id);
      expect(wait).toMatchObject({ reason: 'retry', nextActionAt: answer.body['retryAt' as never] });
      const after = (Date.parse(wait?.nextActionAt ?? '') - before) / 1000;
      expect(Math.abs(after - delay)).toBeLessThan(2);
      expect(await take(second)).toEqual([]);
      await test.sql(`update tasks set next_action_at = muster_now() where id = $1`, [id]);
      await test.sql(`update task_due set at = muster_now() where task_id = $1`, [id]);
      await sweep();
    }
    const fourth = await takeOnly(first, id);
    expect(fourth.lessons.map(({ error }) => error)).toEqual([
      'failed before 5',
      'failed before 15',
      'failed before 30',
    ]);
    await verb(first, fourth, 'fail', { error: 'again' });
    expect((await show(id)).state).toBe('queued');
    expect(await take(first)).toEqual([]);
    const fifth = await takeOnly(second, id);
    await verb(second, fifth, 'fail', { error: 'not me either' });
    expect(await show(id)).toMatchObject({ state: 'waiting', wait: { reason: 'person' }, error: 'not me either' });
  });

  it('asks a person when no other instance comes', async () => {
    const only = await connect();
    const { id } = await start();
    await test.sql(`update tasks set failures = 3 where id = $1`, [id]);
    await verb(only, await takeOnly(only, id), 'fail', { error: 'no' });
    await test.sql(`update task_ready set avoid_until = muster_now() where task_id = $1`, [id]);
    await test.sql(`update task_due set at = muster_now() where task_id = $1`, [id]);
    expect(await take(only)).toEqual([]);
    await sweep();
    expect(await show(id)).toMatchObject({ state: 'waiting', wait: { reason: 'person' } });
  });

  it('that nobody should retry is final', async () => {
    const holder = await connect();
    const { id } = await start();
    await verb(holder, await takeOnly(holder, id), 'fail', { error: 'cannot be done', retryable: false });
    expect(await show(id)).toMatchObject({ state: 'failed', error: 'cannot be done' });
    expect(await eventsOf(id)).toEqual(['task.created', 'task.started', 'task.attempt_failed', 'task.failed']);
  });

  it('is what spending more than the agent may counts as', async () => {
    const holder = await connect({ agent: 'thrifty' });
    const { id } = await start({ agent: 'thrifty' });
    const held = await takeOnly(holder, id);
    expect((await verb(holder, held, 'cost', { key: 'a', usd: 0.9 })).status).toBe(200);
    expect((await verb(holder, held, 'cost', { key: 'b', usd: 0.2 })).status).toBe(200);
    expect(await show(id)).toMatchObject({ state: 'waiting', wait: { reason: 'person' }, costUsd: 1.1 });
    expect((await verb(holder, held, 'complete')).status).toBe(409);

    // A person lets it go on: with a whole budget, while what was spent before stays told.
    await run(new RetryTask(id));
    const again = await takeOnly(holder, id);
    await verb(holder, again, 'cost', { key: 'c', usd: 0.9 });
    expect(await show(id)).toMatchObject({ state: 'running', costUsd: 2 });
    await verb(holder, again, 'cost', { key: 'd', usd: 0.2 });
    expect(await show(id)).toMatchObject({
      state: 'waiting',
      wait: { reason: 'person', detail: expect.stringContaining('($1.1)') },
      costUsd: 2.2,
    });
  });

  it('is what having spent more counts as, where its server died before it could stop the attempt', async () => {
    const holder = await connect({ agent: 'thrifty' });
    const { id } = await start({ agent: 'thrifty' });
    const held = await takeOnly(holder, id);
    await verb(holder, held, 'cost', { key: 'a', usd: 0.9 });
    await test.sql(
      `with added as (update task_costs set usd = 1.9 where task_id = $1), running as (update task_running set cost_usd = 1.9 where task_id = $1)
       update tasks set cost_usd = 1.9, own_cost_usd = 1.9 where id = $1`,
      [id],
    );
    expect(await verb(holder, held, 'cost', { key: 'a', usd: 0.9 })).toMatchObject({ body: { counted: false } });
    expect(await show(id)).toMatchObject({ state: 'waiting', wait: { reason: 'person' }, costUsd: 1.9 });
  });
});

describe('giving back', () => {
  it('costs no attempt, by release and by bye', async () => {
    const [first, second] = [await connect({ capacity: 2 }), await connect()];
    const { id } = await start({ maxAttempts: 1 });
    await verb(first, await takeOnly(first, id), 'release', { reason: 'busy' });
    const held = await takeOnly(second, id);
    expect(
      await run(new DisconnectInstance(second.id, second.connection, { kind: 'bye', reason: 'shutdown' })),
    ).toEqual({ released: 1 });
    expect((await verb(second, held, 'complete')).status).toBe(409);
    expect(await take(second)).toEqual([]);
    const again = await takeOnly(await connect(), id);
    expect(again).toMatchObject({ attempt: 3, lessons: [{ outcome: 'released' }, { outcome: 'released' }] });
    expect(await test.sql(`select failures from tasks where id = $1`, [id])).toEqual([{ failures: 0 }]);
  });
});

describe('a connection that was lost', () => {
  it('is not brought back by a sign of life that was on its way when it closed, and comes back with a new hello', async () => {
    const agent = await connect();
    const state = () => test.sql(`select state from instances where id = $1`, [agent.id]);
    await run(new DisconnectInstance(agent.id, agent.connection, { kind: 'lost' }));
    await expect(run(new RenewLeases(agent.actor_id, agent.id, agent.connection, []))).rejects.toMatchObject({
      code: 'runtime.instance_unknown',
    });
    expect(await state()).toEqual([{ state: 'offline' }]);
    await connect({ actor: actorOf(agent), resume: agent.id });
    expect(await state()).toEqual([{ state: 'idle' }]);
  });
});

describe('a submission', () => {
  it('frees the slot, comes back as a rework to the instance that knows it, and ends the task at the limit', async () => {
    const [author, other] = [await connect(), await connect()];
    const { id } = await start();
    let held = await takeOnly(author, id);
    for (let round = 1; round <= 4; round += 1) {
      const submissionId = await submit(held);
      expect(await show(id)).toMatchObject({
        state: 'waiting',
        wait: { reason: 'verification', ref: submissionId },
        submissionId,
      });
      expect((await verb(author, held, 'complete')).status).toBe(409);
      const settle = new SettleSubmittedTask(id, submissionId, {
        kind: 'rework',
        rework: {
          submissionId,
          reason: 'rejected',
          summary: 'a test broke',
          findings: [],
          conflicts: [],
          commit: head,
        },
      });
      await run(settle);
      await run(settle);
      if (round === 4) break;
      expect(await show(id)).toMatchObject({ state: 'queued', reworks: round });
      expect(await take(other)).toEqual([]);
      held = await takeOnly(author, id);
      expect(held.rework).toMatchObject({ round, submissionId, summary: 'a test broke' });
    }
    expect(await show(id)).toMatchObject({ state: 'failed', error: expect.stringContaining('limit') });
  });

  it('that nobody could verify waits for a person, uses up no rework, and is queued when they say so', async () => {
    const author = await connect();
    const { id } = await start();
    const submissionId = await submit(await takeOnly(author, id));
    const why = 'could not be verified: tests: required, and not run: there is no sandbox';
    const settle = new SettleSubmittedTask(id, submissionId, { kind: 'waiting_person', why });
    await run(settle);
    await run(settle);
    const waiting = await show(id);
    expect(waiting).toMatchObject({
      state: 'waiting',
      wait: { reason: 'person', ref: submissionId, nextActionAt: null },
      reworks: 0,
      error: why,
    });
    expect(waiting.wait?.detail).toContain(why);
    expect(waiting.wait?.detail).toContain(`muster tasks retry ${id}`);
    await run(new RetryTask(id));
    expect(await takeOnly(author, id)).toMatchObject({ attempt: 2, rework: null });
  });

  it('goes to anyone when the instance that knows it is gone', async () => {
    const [author, other] = [await connect(), await connect()];
    const { id } = await start();
    const submissionId = await submit(await takeOnly(author, id));
    await run(
      new SettleSubmittedTask(id, submissionId, {
        kind: 'rework',
        rework: {
          submissionId,
          reason: 'conflicted',
          summary: 'c',
          findings: [],
          conflicts: [{ path: 'a', startLine: 1, base: '', ours: 'x', theirs: 'y' }],
          commit: head,
        },
      }),
    );
    expect(await take(other)).toEqual([]);
    await run(new DisconnectInstance(author.id, author.connection, { kind: 'lost' }));
    expect((await takeOnly(other, id)).rework?.conflicts).toHaveLength(1);
  });

  it('waits for its landing and succeeds with it; what comes later changes nothing', async () => {
    const author = await connect();
    const { id } = await start();
    const submissionId = await submit(await takeOnly(author, id));
    const landingId = ids.next('landing');
    await run(new SettleSubmittedTask(id, submissionId, { kind: 'waiting_landing', ref: landingId }));
    expect(await show(id)).toMatchObject({ state: 'waiting', wait: { reason: 'landing', ref: landingId } });
    const landed = new SettleSubmittedTask(id, submissionId, {
      kind: 'landed',
      output: { submissionId, landingId, commit: head },
    });
    await run(landed);
    await run(landed);
    await run(new SettleSubmittedTask(id, submissionId, { kind: 'waiting_landing', ref: landingId }));
    expect(await show(id)).toMatchObject({ state: 'succeeded', output: { landingId } });
    expect(await eventsOf(id)).toEqual([
      'task.created',
      'task.started',
      'task.submitted',
      'task.waiting',
      'task.waiting',
      'task.succeeded',
    ]);
  });
});

describe('creating', () => {
  it('makes one task under a hundred concurrent requests with one key', async () => {
    const tasks = await Promise.all(Array.from({ length: 100 }, () => start({ idempotencyKey: 'once' })));
    expect(new Set(tasks.map(({ id }) => id)).size).toBe(1);
    const [only] = tasks;
    expect(await eventsOf(only?.id ?? '')).toEqual(['task.created']);
    await run(new CancelTask(only?.id ?? '', 'done'));
    const body = { projectId: project, capability: 'code.change', input: { file: 'b.ts' } };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => call<TaskView>(person, 'POST', '/tasks', body, { 'idempotency-key': 'k1' })),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
    const [first] = answers;
    expect(answers.map((answer) => answer.body)).toEqual(answers.map(() => first?.body));
    await run(new CancelTask(first?.body.id ?? '', 'done'));
  });

  it('keeps the answer to a request with a key in the commit that makes the task, and gives it again whatever has become of it', async () => {
    const ask = (body: object, key = 'kept') =>
      call<TaskView>(
        person,
        'POST',
        '/tasks',
        { projectId: project, input: { file: 'c.ts' }, ...body },
        {
          'idempotency-key': key,
        },
      );
    const first = await ask({ capability: 'code.change' });
    expect(first.status).toBe(201);
    const { id } = first.body;
    const together = await test.sql<{ same: boolean }>(
      `select t.xmin = k.xmin as same from tasks t join idempotency_keys k on k.body ->> 'id' = t.id where t.id = $1`,
      [id],
    );
    expect(together).toEqual([{ same: true }]);
    await run(new CancelTask(id, 'done'));
    expect(await ask({ capability: 'code.change' })).toMatchObject({ status: 201, body: first.body });
    for (const other of [{ capability: 'code.review' }, { capability: 'docs.write' }])
      expect(await ask(other)).toMatchObject({ status: 422, body: { code: 'request.idempotency_key_reused' } });
    expect(await ask({ capability: 'docs.write' }, 'refused')).toMatchObject({ status: 422 });
    const after = await ask({ capability: 'code.change' }, 'refused');
    expect(after.status).toBe(201);
    await run(new CancelTask(after.body.id, 'done'));
  });

  it('makes one of two different tasks that are asked for under one key at once', async () => {
    const answers = await Promise.all(
      ['code.change', 'code.review', 'code.change', 'code.review'].map((capability) =>
        call<TaskView & { code: string }>(
          person,
          'POST',
          '/tasks',
          { projectId: project, capability, input: { file: 'd.ts' } },
          { 'idempotency-key': 'at once' },
        ),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 422, 422]);
    const made = answers.filter(({ status }) => status === 201);
    expect(new Set(made.map(({ body }) => body.id)).size).toBe(1);
    expect(answers.filter(({ status }) => status === 422).map(({ body }) => body.code)).toEqual([
      'request.idempotency_key_reused',
      'request.idempotency_key_reused',
    ]);
    const kept = await test.sql(`select 1 from tasks where idempotency_key like '%:at once'`);
    expect(kept).toHaveLength(1);
    await run(new CancelTask(made[0]?.body.id ?? '', 'done'));
  });

  it.each([
    ['input that does not fit, with the path', { input: { file: 7 } }, 422, 'runtime.input_invalid'],
    ['input that lacks a field', { input: {} }, 422, 'runtime.input_invalid'],
    ['a capability that no assigned agent has', { capability: 'docs.write' }, 422, 'runtime.no_agent'],
    ['an agent that is not assigned', { agent: 'nobody' }, 422, 'runtime.no_agent'],
    ['a capability of the system', { capability: 'muster.verify' }, 403, 'runtime.reserved_capability'],
    ['unknown fields', { nonsense: 1 }, 400, 'request.invalid'],
    ['a project that is not there', { projectId: ids.next('project') }, 404, 'request.not_found'],
    ['a parent that is not there', { parentId: ids.next('task') }, 404, 'request.not_found'],
  ])('refuses %s', async (_what, more, status, code) => {
    const answer = await call(person, 'POST', '/tasks', {
      projectId: project,
      capability: 'code.change',
      input: { file: 'a' },
      ...more,
    });
    expect(answer).toMatchObject({ status, body: { code } });
    if (code === 'runtime.input_invalid') expect(answer.body.errors?.[0]?.path).toBe('input.file');
  });

  it('shows nothing to another team', async () => {
    const { id } = await start();
    const stranger = newActor({ teamId: ids.next('team') });
    for (const path of [`/tasks/${id}`, `/tasks/${id}/logs`, `/projects/${project}/operations`]) {
      expect((await call(stranger, 'GET', path)).status).toBe(404);
    }
    expect((await call(stranger, 'POST', `/tasks/${id}/cancel`, { reason: 'x' })).status).toBe(404);
    expect((await call<{ items: unknown[] }>(stranger, 'GET', '/tasks')).body.items).toEqual([]);
    await run(new CancelTask(id, 'done'));
  });

  it('pages the tasks and the operations of a project, filtered by state', async () => {
    const made = [];
    for (let i = 0; i < 5; i += 1) made.push(await start({ capability: 'code.review' }));
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: Answer<{ items: TaskView[]; nextCursor: string | null }> = await call(
        person,
        'GET',
        `/tasks?limit=2&capability=code.review&state=queued,running&projectId=${project}${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      seen.push(...page.body.items.map(({ id }) => id));
      cursor = page.body.nextCursor;
    }
    expect(seen).toEqual(made.map(({ id }) => id).reverse());
    const operations = await call<{ items: { taskId: string }[] }>(
      person,
      'GET',
      `/projects/${project}/operations?state=queued&limit=5`,
    );
    expect(operations.body.items.map(({ taskId }) => taskId)).toEqual(seen);
    expect((await call(person, 'GET', '/tasks?state=sleeping')).status).toBe(400);
    for (const { id } of made) await run(new CancelTask(id, 'done'));
  });
});

describe('many at once', () => {
  it('200 claimers never share a task', async () => {
    await setAside();
    await Promise.all(Array.from({ length: 300 }, () => start({ capability: 'code.review' })));
    const instances = await Promise.all(Array.from({ length: 200 }, () => connect({ capacity: 3 })));
    const taken = (await Promise.all(instances.map((instance) => take(instance, 3, 'code.review')))).flat();
    const more = (await Promise.all(instances.map((instance) => take(instance, 3, 'code.review')))).flat();
    const all = [...taken, ...more];
    expect(all).toHaveLength(300);
    expect(new Set(all.map(({ taskId }) => taskId)).size).toBe(300);
    expect(new Set(all.map(({ fence }) => fence)).size).toBe(300);
    const crowded = await test.sql(`select instance_id from task_running group by 1 having count(*) > 3`);
    expect(crowded).toEqual([]);
  }, 60_000);

  it('one instance never gets more than its capacity, however many claims it sends', async () => {
    const busy = await connect({ capacity: 2 });
    await Promise.all(Array.from({ length: 10 }, () => start()));
    const taken = (await Promise.all(Array.from({ length: 10 }, () => take(busy, 2)))).flat();
    expect(taken).toHaveLength(2);
    await setAside();
  });
});

describe('the log of a task', () => {
  it('keeps lines in order, and says where it stopped keeping them', async () => {
    const holder = await connect();
    const { id } = await start();
    const held = await takeOnly(holder, id);
    await verb(holder, held, 'log', { lines: ['one', 'two'] });
    await verb(holder, held, 'log', { lines: ['three\u0000'], stream: 'stderr' });
    const page = await call<{ items: { line: string; stream: string }[]; nextCursor: string }>(
      person,
      'GET',
      `/tasks/${id}/logs?limit=2`,
    );
    expect(page.body.items.map(({ line }) => line)).toEqual(['one', 'two']);
    const rest = await call<{ items: { line: string; stream: string }[] }>(
      person,
      'GET',
      `/tasks/${id}/logs?cursor=${page.body.nextCursor}`,
    );
    expect(rest.body.items).toMatchObject([{ line: 'three\ufffd', stream: 'stderr' }]);
    for (let i = 0; i < 22; i += 1)
      await verb(holder, held, 'log', { lines: Array.from({ length: 500 }, (_, n) => `${n}`) });
    const [count] = await test.sql<{ lines: number; last: string }>(
      `select count(*)::int as lines, (select line from task_log_lines where task_id = $1 order by number desc limit 1) as last from task_log_lines where task_id = $1`,
      [id],
    );
    expect(count).toEqual({ lines: 10_001, last: '… the rest of this log was dropped' });
    await verb(holder, held, 'complete');
  });
});

/** An agent on a real socket. */
class Agent {
  readonly got: ServerMessage[] = [];
  closed: number | null = null;
  #seq = 0;
  constructor(readonly socket: WebSocket) {
    socket.on('message', (raw) => this.got.push(...(JSON.parse((raw as Buffer).toString()) as ServerMessage[])));
    socket.on('close', (code) => (this.closed = code));
  }
  static async open(actor: Actor): Promise<Agent> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/api/runtime/connect`, {
      headers: { authorization: `Bearer ${actor.id}` },
    });
    const agent = new Agent(socket);
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return agent;
  }
  async ask(message: Record<string, unknown>): Promise<ServerMessage> {
    const seq = ++this.#seq;
    this.socket.send(JSON.stringify([{ seq, ...message }]));
    return until(() => this.got.find((one) => 're' in one && one.re === seq));
  }
  async hello(more: Record<string, unknown> = {}): Promise<string> {
    const answer = await this.ask({
      type: 'hello',
      protocol: 1,
      agent: 'coder',
      capabilities: ['code.change'],
      ...more,
    });
    if (answer.type !== 'welcome') throw new Error(JSON.stringify(answer));
    return answer.instanceId;
  }
  async task(taskId: string): Promise<TaskAssignment> {
    const found = await until(() => this.got.find((one) => one.type === 'task' && one.task.taskId === taskId));
    if (found.type !== 'task') throw new Error('not a task');
    return found.task;
  }
}
async function until<T>(look: () => T | undefined | null | false | Promise<T | undefined | null | false>): Promise<T> {
  for (let tries = 0; tries < 400; tries += 1) {
    const seen = await look();
    if (seen !== undefined && seen !== null && seen !== false) return seen;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('It did not come true in 10 s.');
}

describe('the agent socket', () => {
  it('hands out a task for credit, and takes its result', async () => {
    const agent = await Agent.open(newActor());
    await agent.hello();
    const { id } = await start();
    expect(agent.got.some(({ type }) => type === 'task')).toBe(false);
    await agent.ask({ type: 'credit', count: 1 });
    const task = await agent.task(id);
    expect(task).toMatchObject({
      attempt: 1,
      capability: 'code.change',
      input: { file: 'a.ts' },
      project: { id: project, branch: 'main', head },
      rework: null,
    });
    expect(
      await agent.ask({ type: 'progress', taskId: id, fence: task.fence, ratio: 0.5, message: 'half' }),
    ).toMatchObject({ type: 'ok' });
    expect(await agent.ask({ type: 'checkpoint', taskId: id, fence: task.fence, state: { step: 2 } })).toMatchObject({
      type: 'ok',
    });
    expect(await agent.ask({ type: 'complete', taskId: id, fence: task.fence, output: 'text' })).toMatchObject({
      type: 'refused',
      problem: { status: 422, code: 'runtime.output_invalid' },
    });
    expect(await agent.ask({ type: 'complete', taskId: id, fence: task.fence, output: { ok: true } })).toMatchObject({
      type: 'ok',
      result: { state: 'succeeded' },
    });
    expect(await show(id)).toMatchObject({ state: 'succeeded', output: { ok: true }, attempts: [{ progress: 0.5 }] });
    agent.socket.close();
  });

  it('refuses a bad message and goes on; closes on what is not a frame', async () => {
    const agent = await Agent.open(newActor());
    expect(await agent.ask({ type: 'credit', count: 1 })).toMatchObject({
      type: 'refused',
      problem: { code: 'runtime.hello_first' },
    });
    expect(await agent.ask({ type: 'dance' })).toMatchObject({ type: 'refused', problem: { code: 'request.invalid' } });
    expect(
      await agent.ask({ type: 'hello', protocol: 1, agent: 'ghost', capabilities: ['code.change'] }),
    ).toMatchObject({ type: 'refused', problem: { code: 'runtime.agent_unknown' } });
    expect(
      await agent.ask({ type: 'hello', protocol: 1, agent: 'coder', capabilities: ['muster.verify'] }),
    ).toMatchObject({ type: 'refused', problem: { code: 'runtime.reserved_capability' } });
    expect(await agent.ask({ type: 'hello', protocol: 1, agent: 'coder', capabilities: ['docs.write'] })).toMatchObject(
      { type: 'refused', problem: { code: 'runtime.capability_undeclared' } },
    );
    await agent.hello();
    expect(
      await agent.ask({ type: 'hello', protocol: 1, agent: 'coder', capabilities: ['code.change'] }),
    ).toMatchObject({ problem: { code: 'runtime.already_connected' } });
    expect(await agent.ask({ type: 'complete', taskId: ids.next('task'), fence: 1 })).toMatchObject({
      type: 'refused',
      problem: { code: 'runtime.stale_lease' },
    });
    agent.socket.send('{"not": "a frame"}');
    await until(() => agent.got.find((one) => one.type === 'refused' && one.re === 0));
    agent.socket.send('garbage');
    expect(await until(() => agent.closed)).toBe(1007);
    const loud = await Agent.open(newActor());
    loud.socket.send('x'.repeat(5 * 1024 * 1024));
    expect(await until(() => loud.closed)).toBe(1009);
  });

  it('cancels at the agent, whose later writes are refused', async () => {
    const agent = await Agent.open(newActor());
    await agent.hello();
    const { id } = await start();
    await agent.ask({ type: 'credit', count: 1 });
    const { fence } = await agent.task(id);
    const cancelled = await call<TaskView>(person, 'POST', `/tasks/${id}/cancel`, { reason: 'not needed' });
    expect(cancelled).toMatchObject({ status: 200, body: { state: 'cancelled' } });
    expect(await until(() => agent.got.find(({ type }) => type === 'cancel'))).toEqual({
      type: 'cancel',
      taskId: id,
      fence,
      reason: 'not needed',
    });
    expect(await agent.ask({ type: 'complete', taskId: id, fence })).toMatchObject({
      type: 'refused',
      problem: { status: 409, code: 'runtime.stale_lease' },
    });
    expect((await call(person, 'POST', `/tasks/${id}/cancel`, { reason: 'again' })).status).toBe(200);
    agent.socket.close();
  });

  it('keeps the leases of a dropped connection, which resumes and goes on', async () => {
    const actor = newActor();
    const first = await Agent.open(actor);
    const instanceId = await first.hello();
    const { id } = await start();
    await first.ask({ type: 'credit', count: 1 });
    const task = await first.task(id);
    first.socket.terminate();
    await until(
      async () =>
        (await test.sql(`select 1 from instances where id = $1 and state = 'offline'`, [instanceId])).length === 1,
    );
    expect((await show(id)).state).toBe('running');

    const second = await Agent.open(actor);
    expect(await second.hello({ resume: instanceId })).toBe(instanceId);
    expect(await second.ask({ type: 'heartbeat', held: [{ taskId: id, fence: task.fence }] })).toMatchObject({
      type: 'ok',
      result: { stale: [] },
    });
    expect(await second.ask({ type: 'complete', taskId: id, fence: task.fence })).toMatchObject({ type: 'ok' });
    expect(await show(id)).toMatchObject({ state: 'succeeded', attempt: 1 });

    const stranger = await Agent.open(newActor());
    expect(await stranger.hello({ resume: instanceId })).not.toBe(instanceId);
    const third = await Agent.open(actor);
    await third.hello({ resume: instanceId });
    expect(await until(() => second.closed)).toBe(4001);
    for (const agent of [stranger, third]) agent.socket.close();
  });

  it('tells an agent that slept past its lease, and moves its task to another', async () => {
    const actor = newActor();
    const sleeper = await Agent.open(actor);
    await sleeper.hello();
    const { id } = await start();
    await sleeper.ask({ type: 'credit', count: 1 });
    const lost = await sleeper.task(id);
    await expire(id);
    const other = await Agent.open(actor);
    await other.hello();
    await other.ask({ type: 'credit', count: 1 });
    const held = await other.task(id);
    expect(await until(() => sleeper.got.find(({ type }) => type === 'cancel'))).toMatchObject({
      taskId: id,
      fence: lost.fence,
      reason: 'stale_lease',
    });
    expect(await sleeper.ask({ type: 'heartbeat', held: [{ taskId: id, fence: lost.fence }] })).toMatchObject({
      result: { stale: [{ taskId: id, fence: lost.fence }] },
    });
    expect(await sleeper.ask({ type: 'fail', taskId: id, fence: lost.fence, error: 'late' })).toMatchObject({
      problem: { code: 'runtime.stale_lease' },
    });
    expect(await other.ask({ type: 'complete', taskId: id, fence: held.fence })).toMatchObject({ type: 'ok' });
    for (const agent of [sleeper, other]) agent.socket.close();
  });

  it('gives everything back at bye', async () => {
    const agent = await Agent.open(newActor());
    await agent.hello({ capacity: 2 });
    const { id } = await start();
    await agent.ask({ type: 'credit', count: 2 });
    await agent.task(id);
    expect(await agent.ask({ type: 'bye' })).toMatchObject({ type: 'ok', result: { released: 1 } });
    expect((await show(id)).state).toBe('queued');
    await run(new CancelTask(id, 'done'));
    agent.socket.close();
  });

  it('gives nothing to an agent whose assignment was taken away, whose version is out of range, or whose labels do not fit', async () => {
    const agent = await Agent.open(newActor());
    await agent.hello({ labels: { os: 'linux' } });
    const { id } = await start();
    const labelled = await start({ labels: { os: 'linux', gpu: 'yes' } });
    const wished = await start({ agent: 'thrifty' });
    assigned = [{ agent: 'coder', versionRange: '^2.0.0' }];
    await agent.ask({ type: 'credit', count: 1 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    assigned = [];
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(agent.got.filter(({ type }) => type === 'task')).toEqual([]);
    assigned = [...assignedByDefault];
    await agent.task(id);
    await agent.ask({ type: 'credit', count: 1 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await show(labelled.id)).state).toBe('queued');
    expect((await show(wished.id)).state).toBe('queued');
    for (const one of [id, labelled.id, wished.id]) await run(new CancelTask(one, 'done'));
    agent.socket.close();
  });

  it('offers the work of the system to the system alone', async () => {
    const verifier = await Agent.open(
      newActor({ kind: 'system', id: 'system:verifier', teamId: ids.next('team'), permissions: new Set(permissions) }),
    );
    await verifier.hello({ agent: 'muster-verifier', capabilities: ['muster.verify'] });
    const task = await start({ capability: 'muster.verify', input: { tree: 'x' } });
    await verifier.ask({ type: 'credit', count: 1 });
    const { fence, project: shown } = await verifier.task(task.id);
    expect(shown.id).toBe(project);
    expect(await verifier.ask({ type: 'complete', taskId: task.id, fence, output: { facts: [] } })).toMatchObject({
      type: 'ok',
    });
    verifier.socket.close();
  });
});

describe('the long poll', () => {
  it('waits for a task, and works without a socket', async () => {
    const actor = newActor();
    const welcome = await call<{ instanceId: string; heartbeatMs: number }>(actor, 'POST', '/runtime/instances', {
      protocol: 1,
      agent: 'coder',
      capabilities: ['code.change'],
    });
    expect(welcome).toMatchObject({ status: 201, body: { leaseMs: 30_000, heartbeatMs: 5_000 } });
    const path = `/runtime/instances/${welcome.body.instanceId}`;
    expect((await call(newActor(), 'POST', `${path}/claim`, {})).status).toBe(404);
    const waiting = call<{ tasks: TaskAssignment[] }>(actor, 'POST', `${path}/claim`, { waitSeconds: 10 });
    const { id } = await start();
    const [task] = (await waiting).body.tasks;
    expect(task?.taskId).toBe(id);
    expect((await call(actor, 'POST', `/tasks/${id}/attempts/${task?.fence}/complete`, { output: null })).status).toBe(
      200,
    );
    expect((await call<{ tasks: unknown[] }>(actor, 'POST', `${path}/claim`, { waitSeconds: 0 })).body.tasks).toEqual(
      [],
    );
    expect((await call(actor, 'POST', `${path}/bye`, {})).status).toBe(200);
    expect((await call(actor, 'POST', `${path}/heartbeat`, {})).status).toBe(404);
  });

  it('executes a capability and waits for its answer', async () => {
    const agent = await Agent.open(newActor());
    await agent.hello({ capabilities: ['code.review'] });
    await agent.ask({ type: 'credit', count: 1 });
    const asked = call<TaskView>(person, 'POST', `/projects/${project}/capabilities/code.review/execute`, {
      waitSeconds: 10,
    });
    const offered = await until(() => agent.got.find(({ type }) => type === 'task'));
    if (offered.type !== 'task') throw new Error('not a task');
    await agent.ask({
      type: 'complete',
      taskId: offered.task.taskId,
      fence: offered.task.fence,
      output: { verdict: 'fine' },
    });
    expect((await asked).body).toMatchObject({ state: 'succeeded', output: { verdict: 'fine' } });
    agent.socket.close();
  });
});
