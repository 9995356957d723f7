import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { agentDefinition, type CloudEvent, type Permission, permissions, type StreamMessage } from '@muster/contracts';
import { Global, Module } from '@nestjs/common';
import { CommandBus, CommandHandler, CqrsModule, type IQueryHandler, QueryBus, QueryHandler } from '@nestjs/cqrs';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { WebSocket } from 'ws';
import { Clock, Ids, MusterError, SystemClock, SystemIds } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import { FindLanding } from '#messages/integration';
import { FindProjectsOfAgent } from '#messages/projects';
import { FindPublishedVersion, FindTriggers, type PublishedVersion } from '#messages/registry';
import { FindTask, type NewTask, StartTask } from '#messages/runtime';
import { Config, loadConfig } from '#platform/config';
import { Database } from '#platform/database';
import { EventLog, EventLogModule } from '#platform/eventlog';
import { HttpModule, OwnedIds, SocketAdapter } from '#platform/http';
import { testDatabase, type TestDatabase } from '#test/database';
import { PublishEvent } from './commands/publish-event.ts';
import { readVisible, scopeOf } from './domain/visible-events.ts';
import { EventsModule } from './events.module.ts';
import { ListEvents } from './queries/list-events.ts';
import { LONGEST_CHAIN } from './reactions/start-tasks-when-a-trigger-matches.ts';

const ids = new SystemIds();
const newActor = (more: Partial<Actor> = {}): Actor => ({
  kind: 'user',
  id: ids.next('user'),
  name: 'Ada',
  teamId: ids.next('team'),
  permissions: new Set(permissions),
  projects: new Map(),
  onlyProjectId: null,
  ...more,
});

/** A credential is the id of an actor that a test made. */
const actors = new Map<string, Actor>();
const revoked = new Set<(actorId: string) => void>();
class ById extends Authenticator {
  async authenticate(credential: string): Promise<Actor | null> {
    return actors.get(credential) ?? null;
  }
  allows(actor: Actor, permission: Permission): boolean {
    return actor.permissions.has(permission);
  }
  onRevoked(listener: (actorId: string) => void): () => void {
    revoked.add(listener);
    return () => revoked.delete(listener);
  }
  issueSystemKey(): Promise<string> {
    return Promise.reject(new Error('no keys here'));
  }
}

/** The neighbours as far as triggers need them: what is published, what is assigned, which tasks were asked for. */
const published: (PublishedVersion & { teamId: string })[] = [];
const assigned: { teamId: string; agent: string; capability: string; projectId: string; versionRange: string }[] = [];
const tasks = new Map<string, NewTask & { id: string }>();
const refusedProjects = new Set<string>();
let failures = 0;

@QueryHandler(FindTriggers)
class Triggers implements IQueryHandler<FindTriggers> {
  async execute({ teamId, eventType }: FindTriggers) {
    return published.filter(
      (one) => one.teamId === teamId && one.definition.triggers.some(({ event }) => event === eventType),
    );
  }
}
@QueryHandler(FindPublishedVersion)
class Versions implements IQueryHandler<FindPublishedVersion> {
  async execute({ teamId, agent, range }: FindPublishedVersion) {
    return (
      published.find(
        (one) => one.teamId === teamId && one.name === agent && (range === '*' || one.version === range),
      ) ?? null
    );
  }
}
@QueryHandler(FindProjectsOfAgent)
class Assignments implements IQueryHandler<FindProjectsOfAgent> {
  async execute({ teamId, agent, capability }: FindProjectsOfAgent) {
    return assigned.filter((one) => one.teamId === teamId && one.agent === agent && one.capability === capability);
  }
}
@QueryHandler(FindTask)
class Tasks {
  async execute({ taskId }: FindTask) {
    return tasks.get(taskId) ?? null;
  }
}
@QueryHandler(FindLanding)
class Landings {
  async execute() {
    return null;
  }
}
@CommandHandler(StartTask)
class Starts {
  async execute({ task }: StartTask) {
    if (refusedProjects.has(task.projectId)) throw new MusterError('runtime.refused', 409, 'No.');
    if (failures > 0) {
      failures -= 1;
      throw new Error('The database went away.');
    }
    const present = [...tasks.values()].find((one) => one.idempotencyKey === task.idempotencyKey);
    const kept = present ?? { ...task, id: ids.next('task') };
    tasks.set(kept.id, kept);
    return kept;
  }
}

let test: TestDatabase;
let app: NestFastifyApplication;
let database: Database;
let url: string;

beforeAll(async () => {
  test = await testDatabase();
  database = await test.open();
  await test.sql(`create table things (id text primary key, team_id text, project_id text)`);
  OwnedIds.register('project', 'things', { project: 'id' });
  @Global()
  @Module({
    providers: [
      { provide: Database, useValue: database },
      { provide: Config, useValue: loadConfig({}) },
      { provide: Ids, useValue: ids },
      { provide: Clock, useClass: SystemClock },
      { provide: Authenticator, useClass: ById },
    ],
    exports: [Database, Config, Ids, Clock, Authenticator],
  })
  class Ground {}
  const testing = await Test.createTestingModule({
    imports: [Ground, CqrsModule.forRoot(), HttpModule, EventLogModule, EventsModule],
    providers: [Triggers, Versions, Assignments, Tasks, Landings, Starts],
  }).compile();
  app = testing.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  app.useWebSocketAdapter(app.get(SocketAdapter));
  await app.listen(0, '127.0.0.1');
  url = await app.getUrl();
}, 60_000);
afterAll(async () => {
  await app.close();
  await test.drop();
});

const publish = (actor: Actor, type: string, data: PublishEvent['event']['data'] = {}, projectId?: string) =>
  app.get(CommandBus).execute(new PublishEvent(actor.teamId, { type, data, priority: 'normal', projectId }));
const list = (actor: Actor, after = 0, limit = 100, types: string[] = [], projectId?: string) =>
  app.get(QueryBus).execute(new ListEvents(scopeOf(actor, types, projectId), after, limit));
async function until<T>(look: () => T | Promise<T>, what: string): Promise<NonNullable<T>> {
  for (let tries = 0; tries < 400; tries += 1) {
    const seen = await look();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`It did not come true in 10 s: ${what}`);
}
const logged = (actor: Actor, count: number) =>
  until(async () => {
    const { items } = await list(actor, 0, 500);
    return items.length >= count ? items : null;
  }, `${count} events in the log`);

interface Stream {
  socket: WebSocket;
  messages: StreamMessage[];
  events: () => CloudEvent[];
  closed: Promise<{ code: number; reason: string }>;
}
/** A subscriber over a real socket. */
async function stream(actor: Actor, subscribe?: unknown): Promise<Stream> {
  actors.set(actor.id, actor);
  const socket = new WebSocket(`${url.replace('http', 'ws')}/api/stream`, {
    headers: { authorization: `Bearer ${actor.id}` },
  });
  const messages: StreamMessage[] = [];
  socket.on('message', (raw) => messages.push(JSON.parse((raw as Buffer).toString('utf8')) as StreamMessage));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
  );
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  if (subscribe !== undefined) socket.send(typeof subscribe === 'string' ? subscribe : JSON.stringify(subscribe));
  return {
    socket,
    messages,
    closed,
    events: () => messages.flatMap((one) => (one.type === 'events' ? one.events : [])),
  };
}
const kinds = (events: readonly CloudEvent[]): string[] => events.map(({ type }) => type);

describe('publishing', () => {
  it('puts an event into the log, with the id that it answered', async () => {
    const actor = newActor();
    const { id } = await publish(actor, 'issue.opened', { title: 'Crash' });
    expect(await logged(actor, 1)).toMatchObject([
      { id, type: 'issue.opened', data: { title: 'Crash' }, teamid: actor.teamId },
    ]);
  });

  it.each(['task.created', 'muster.x', 'landing.landed', 'key.revoked', 'team.created'])(
    "refuses %s: that is Muster's to tell",
    async (type) => {
      await expect(publish(newActor(), type)).rejects.toMatchObject({ code: 'events.type_reserved', status: 422 });
    },
  );

  it('refuses data that belongs into a file', async () => {
    await expect(publish(newActor(), 'a.b', { text: 'x'.repeat(300_000) })).rejects.toMatchObject({
      code: 'events.too_large',
      status: 413,
    });
  });
});

describe('listing', () => {
  it('reads on from a position, filters by type and project, and shows one team only', async () => {
    const [actor, stranger] = [newActor(), newActor()];
    const [one, two] = [ids.next('project'), ids.next('project')];
    await publish(stranger, 'a.b');
    for (const [type, project] of [
      ['a.b', one],
      ['a.c', two],
      ['b.a', one],
      ['a.d', undefined],
    ] as const)
      await publish(actor, type, {}, project);
    await logged(actor, 4);
    expect(kinds((await list(actor, 0, 100, ['a.*'])).items)).toEqual(['a.b', 'a.c', 'a.d']);
    expect(kinds((await list(actor, 0, 100, [], one)).items)).toEqual(['a.b', 'b.a']);
    const first = await list(actor, 0, 3);
    const rest = await list(actor, first.position, 3);
    expect(kinds([...first.items, ...rest.items])).toEqual(['a.b', 'a.c', 'b.a', 'a.d']);
    expect(rest.more).toBe(false);
    expect((await list(actor, rest.position)).items).toEqual([]);
  });

  it('shows someone with two projects those two, and nothing of the team', async () => {
    const owner = newActor();
    const [one, two, three] = [ids.next('project'), ids.next('project'), ids.next('project')];
    const may = new Set<Permission>(['event.read']);
    const member = newActor({
      teamId: owner.teamId,
      permissions: new Set(),
      projects: new Map([
        [one, may],
        [two, may],
      ]),
    });
    for (const project of [one, three, undefined, two]) await publish(owner, 'a.b', {}, project);
    await logged(owner, 4);
    expect((await list(member)).items.map(({ projectid }) => projectid)).toEqual([one, two]);
    expect((await list(member, 0, 100, [], three)).items).toEqual([]);
    const key = newActor({ teamId: owner.teamId, onlyProjectId: three });
    expect((await list(key)).items.map(({ projectid }) => projectid)).toEqual([three]);
  });
});

describe('a long log', () => {
  it('is looked through in bounded steps, and the one event of a reader is found at its far end', async () => {
    const actor = newActor();
    const start = (await list(actor)).position;
    await test.sql(`select append_events(array(
      select ('evt_' || n, 'task.progress', 'team_of_others', null, null, 'normal', '{}', null)::event_draft from generate_series(1, 45000) n))`);
    await publish(actor, 'a.b');
    const first = await readVisible(app.get(EventLog), scopeOf(actor, [], undefined), start, 10);
    expect(first).toMatchObject({ events: [], position: start + 20_000, more: true });
    expect(await list(actor, start, 10)).toMatchObject({ items: [{ position: start + 45_001 }], more: false });
  });

  it('tells a reader whose place is not kept any more, and takes one that begins at the beginning', async () => {
    const actor = newActor();
    await publish(actor, 'a.b');
    await test.sql(`update event_partitions set first = 3 where first = 1`);
    try {
      await expect(list(actor, 1)).rejects.toMatchObject({
        code: 'events.position_gone',
        status: 410,
        data: { oldest: 3 },
      });
      const gone = await stream(actor, { type: 'subscribe', after: 1 });
      expect(await gone.closed).toMatchObject({ code: 4400, reason: 'events.position_gone' });
      for (const after of [0, 2]) expect((await list(actor, after)).items).toHaveLength(1);
    } finally {
      await test.sql(`update event_partitions set first = 1 where first = 3`);
    }
  });
});

describe('over HTTP', () => {
  const call = async (actor: Actor, method: 'GET' | 'POST', path: string, payload?: object) => {
    actors.set(actor.id, actor);
    const answer = await app.inject({
      method,
      url: `/api/events${path}`,
      headers: { authorization: `Bearer ${actor.id}` },
      payload,
    });
    return { status: answer.statusCode, body: answer.json<Record<string, unknown>>() };
  };

  it('publishes with 202 and lists by query', async () => {
    const actor = newActor();
    const { status, body } = await call(actor, 'POST', '/publish', { type: 'issue.opened', data: { a: 1 } });
    expect(status).toBe(202);
    await logged(actor, 1);
    expect(await call(actor, 'GET', '?type=issue.*&limit=10')).toMatchObject({
      status: 200,
      body: { items: [{ id: body['id'] }], more: false },
    });
    expect(await call(actor, 'GET', '?type=x.y&type=issue.opened')).toMatchObject({
      body: { items: [{ id: body['id'] }] },
    });
  });

  const wrong: [
    what: string,
    method: 'GET' | 'POST',
    path: string,
    payload: object | undefined,
    status: number,
    code: string,
  ][] = [
    ["a type of Muster's own", 'POST', '/publish', { type: 'task.created' }, 422, 'events.type_reserved'],
    ['a type without a dot', 'POST', '/publish', { type: 'hello' }, 400, 'request.invalid'],
    ['an unknown field', 'POST', '/publish', { type: 'a.b', teamId: 'x' }, 400, 'request.invalid'],
    ['data that is no object', 'POST', '/publish', { type: 'a.b', data: [1] }, 400, 'request.invalid'],
    ['a NUL in its data', 'POST', '/publish', { type: 'a.b', data: { text: 'a\0b' } }, 400, 'request.invalid'],
    [
      'a project that is not there',
      'POST',
      '/publish',
      { type: 'a.b', projectId: ids.next('project') },
      404,
      'request.not_found',
    ],
    ['a position that is none', 'GET', '?after=-1', undefined, 400, 'request.invalid'],
    ['an unknown filter', 'GET', '?since=1', undefined, 400, 'request.invalid'],
  ];
  it.each(wrong)('answers %s with what to do', async (_what, method, path, payload, status, code) => {
    expect(await call(newActor(), method, path, payload)).toMatchObject({ status, body: { code } });
  });
});

describe('the stream', () => {
  it('sends what is there and what comes, in order, nothing missed and nothing twice, while many write', async () => {
    const actor = newActor();
    for (let i = 0; i < 150; i += 1) await publish(actor, 'a.b', { i });
    const { messages, events } = await stream(actor, { type: 'subscribe', after: 0 });
    await Promise.all(Array.from({ length: 150 }, (_, i) => publish(actor, 'a.b', { i: 150 + i })));
    await until(() => events().length >= 300, 'all events arrived');
    const log = await list(actor, 0, 500);
    expect(messages[0]).toEqual({ type: 'subscribed', position: 0 });
    expect(events().map(({ position }) => position)).toEqual(log.items.map(({ position }) => position));
    expect(new Set(events().map(({ id }) => id)).size).toBe(300);
  });

  it('resumes after a cut, wherever it was, with nothing missed or doubled', async () => {
    const actor = newActor();
    const seen: CloudEvent[] = [];
    let after = 0;
    const writing = (async () => {
      for (let i = 0; i < 120; i += 1) await publish(actor, i % 2 ? 'a.b' : 'c.d', { i });
    })();
    // Each connection brings one event or more before it is cut.
    for (let cut = 0; cut < 60 && seen.length < 60; cut += 1) {
      const one = await stream(actor, { type: 'subscribe', types: ['a.*'], after });
      await until(() => one.events().length > 0, 'something came');
      one.socket.terminate();
      seen.push(...one.events());
      after = seen.at(-1)?.position ?? after;
    }
    await writing;
    expect(seen.map(({ data }) => data['i'])).toEqual(Array.from({ length: 60 }, (_, i) => 2 * i + 1));
  });

  it('starts now without a position, and filters by type and project', async () => {
    const actor = newActor();
    const project = ids.next('project');
    await test.sql('insert into things values ($1, $2, $1)', [project, actor.teamId]);
    await publish(actor, 'a.b', { old: true }, project);
    await logged(actor, 1);
    const all = await stream(actor, { type: 'subscribe' });
    const some = await stream(actor, { type: 'subscribe', projectId: project, types: ['a.b', 'x.*'] });
    await until(() => all.messages.length > 0 && some.messages.length > 0, 'both subscribed');
    await publish(actor, 'a.b');
    await publish(actor, 'c.d', {}, project);
    await publish(actor, 'x.y', {}, project);
    await publish(newActor(), 'x.y');
    await until(() => all.events().length === 3 && some.events().length === 1, 'they arrived');
    expect(kinds(some.events())).toEqual(['x.y']);
    expect(kinds(all.events())).toEqual(['a.b', 'c.d', 'x.y']);
  });

  const wrong: [what: string, message: string, code: string][] = [
    ['no JSON', '{', 'request.subscription_invalid'],
    ['another message', '{"type":"hello"}', 'request.subscription_invalid'],
    ['an unknown field', '{"type":"subscribe","since":1}', 'request.subscription_invalid'],
    ['a negative position', '{"type":"subscribe","after":-1}', 'request.subscription_invalid'],
    ['an unknown project', `{"type":"subscribe","projectId":"${ids.next('project')}"}`, 'request.not_found'],
  ];
  it.each(wrong)('answers %s with a problem and closes', async (_what, message, code) => {
    const { closed, messages } = await stream(newActor(), message);
    expect(await closed).toMatchObject({ code: 4400 });
    expect(messages).toMatchObject([{ type: 'error', problem: { code } }]);
  });

  it('says of a project of another team what it says of none', async () => {
    const project = ids.next('project');
    await test.sql('insert into things values ($1, $2, $1)', [project, ids.next('team')]);
    const { closed, messages } = await stream(newActor(), { type: 'subscribe', projectId: project });
    expect(await closed).toMatchObject({ code: 4400, reason: 'request.not_found' });
    expect(messages).toMatchObject([{ problem: { code: 'request.not_found', status: 404 } }]);
  });

  it('ends at once when the credential is revoked', async () => {
    const actor = newActor();
    const { closed, messages } = await stream(actor, { type: 'subscribe' });
    await until(() => messages.length > 0, 'it subscribed');
    for (const tell of revoked) tell(actor.id);
    expect(await closed).toMatchObject({ code: 4401 });
  });

  it('is refused before the upgrade without event.read, and without a credential', async () => {
    await expect(stream(newActor({ permissions: new Set() }))).rejects.toThrow('403');
    const socket = new WebSocket(`${url.replace('http', 'ws')}/api/stream`);
    await expect(new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))).rejects.toThrow(
      '401',
    );
  });

  it('takes one subscription', async () => {
    const { socket, closed } = await stream(newActor(), { type: 'subscribe' });
    socket.send('{"type":"subscribe"}');
    expect(await closed).toMatchObject({ code: 4400, reason: 'request.subscribed_already' });
  });

  it('reads no further for a client that stopped reading, and loses nothing when it goes on', async () => {
    const actor = newActor();
    const data = { text: 'x'.repeat(200_000) };
    const spy = jest.spyOn(app.get(EventLog), 'read');
    const reads = () => spy.mock.calls.filter(([query]) => query.teamId === actor.teamId).length;
    const slow = await stream(actor, { type: 'subscribe', after: 0 });
    await until(() => slow.messages.length > 0, 'it subscribed');
    slow.socket.pause();
    for (let i = 0; i < 90; i += 1) await publish(actor, 'a.b', data);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = reads();
    for (let i = 0; i < 10; i += 1) await publish(actor, 'a.b', data);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(reads()).toBe(before);
    slow.socket.resume();
    await until(() => slow.events().length === 100, 'everything arrived');
    expect(
      slow.events().every(({ position }, index, all) => index === 0 || position > (all[index - 1]?.position ?? 0)),
    ).toBe(true);
    spy.mockRestore();
  });
});

describe('triggers', () => {
  const release = (actor: Actor, version: string, triggers: object[], name = 'fixer') =>
    published.push({
      teamId: actor.teamId,
      agentId: ids.next('agent'),
      agentVersionId: ids.next('agentVersion'),
      name,
      version,
      definition: agentDefinition.parse({
        metadata: { name, version },
        skills: [{ name: 'code.fix' }, { name: 'code.look' }],
        triggers,
      }),
    });
  const assign = (actor: Actor, versionRange = '*', capability = 'code.fix', agent = 'fixer'): string => {
    const projectId = ids.next('project');
    assigned.push({ teamId: actor.teamId, agent, capability, projectId, versionRange });
    return projectId;
  };
  const started = (actor: Actor) => [...tasks.values()].filter(({ teamId }) => teamId === actor.teamId);
  /** Events are handed to the reaction in order: when a later one has started its task, the earlier ones are through. */
  const through = async (actor: Actor) => {
    const name = `probe-${ids.next('event').slice(-8)}`;
    release(actor, '9.9.9', [{ event: 'probe.sent', capability: 'code.look' }], name);
    const projectId = assign(actor, '*', 'code.look', name);
    await publish(actor, 'probe.sent', {}, projectId);
    await until(() => started(actor).find(({ agent }) => agent === name), 'the probe came through');
    return started(actor).filter(({ agent }) => agent !== name && !agent?.startsWith('probe-'));
  };

  it('start one task on every project where the agent is assigned with that capability, filled from the event', async () => {
    const actor = newActor();
    release(actor, '1.0.0', [
      {
        event: 'issue.opened',
        capability: 'code.fix',
        priority: 'high',
        where: { 'issue.kind': 'bug' },
        input: { what: '$data.issue.title', all: '$data' },
      },
    ]);
    const projects = [assign(actor), assign(actor)];
    assign(actor, '*', 'code.look');
    await publish(actor, 'issue.opened', { issue: { kind: 'feature' } });
    const { id } = await publish(actor, 'issue.opened', { issue: { kind: 'bug', title: 'Crash' } });
    const all = await through(actor);
    expect(all.map(({ projectId }) => projectId).sort()).toEqual(projects.sort());
    expect(all[0]).toMatchObject({
      capability: 'code.fix',
      agent: 'fixer',
      priority: 'high',
      input: { what: 'Crash', all: { issue: { kind: 'bug' } } },
      idempotencyKey: `${id}:fixer:code.fix:${all[0]?.projectId}`,
    });
  });

  it('start only on the project that the event names', async () => {
    const actor = newActor();
    release(actor, '1.0.0', [{ event: 'issue.opened', capability: 'code.fix' }]);
    const [one] = [assign(actor), assign(actor)];
    await publish(actor, 'issue.opened', {}, one);
    expect((await through(actor)).map(({ projectId }) => projectId)).toEqual([one]);
  });

  it("are those of the version that the project's range means", async () => {
    const actor = newActor();
    release(actor, '1.0.0', [{ event: 'issue.opened', capability: 'code.fix', input: { version: 1 } }]);
    release(actor, '2.0.0', []);
    const [pinned] = [assign(actor, '1.0.0'), assign(actor, '2.0.0')];
    await publish(actor, 'issue.opened');
    expect(await through(actor)).toMatchObject([{ projectId: pinned, input: { version: 1 } }]);
  });

  it('start in every project that can, though one refuses, and are tried again when the server failed', async () => {
    const actor = newActor();
    release(actor, '1.0.0', [{ event: 'issue.opened', capability: 'code.fix' }]);
    const [refused, ...others] = [assign(actor), assign(actor), assign(actor)];
    refusedProjects.add(refused);
    failures = 1;
    await publish(actor, 'issue.opened');
    await until(() => started(actor).length === 2, 'the two others started');
    expect(
      started(actor)
        .map(({ projectId }) => projectId)
        .sort(),
    ).toEqual(others.sort());
  });

  it('never start a chain without end', async () => {
    const actor = newActor();
    release(actor, '1.0.0', [{ event: 'issue.opened', capability: 'code.fix' }]);
    const project = assign(actor);
    await publish(actor, 'issue.opened');
    for (let link = 1; link < LONGEST_CHAIN + 3; link += 1) {
      const latest = (await through(actor)).at(-1);
      await publish(actor, 'issue.opened', { taskId: latest?.id ?? '' }, project);
    }
    expect(await through(actor)).toHaveLength(LONGEST_CHAIN);
    const depths = await test.sql<{ depth: number }>(
      `select depth from triggered_tasks where project_id = $1 order by depth`,
      [project],
    );
    expect(depths.map(({ depth }) => depth)).toEqual([1, 2, 3, 4, 5]);
  });

  it('cost nothing for what every task tells: no delivery is owed for it', async () => {
    const actor = newActor();
    // A reaction to the same types that nobody runs: what it is owed stays to be seen.
    await test.sql(`insert into event_reactions (name, types)
      select 'nobody', types from event_reactions where name = 'start-tasks-when-a-trigger-matches'`);
    await database.transaction(async (tx) => {
      for (const type of [
        'task.created',
        'verification.finished',
        'landing.landed',
        'instance.connected',
        'landing.x',
        'a.b',
      ]) {
        tx.append({ type, teamId: actor.teamId, projectId: null, subject: null, data: {} });
      }
    });
    await logged(actor, 6);
    const owed = await test.sql<{ type: string }>(
      `select e.type from event_deliveries d join events e using (position)
       where d.reaction = 'nobody' and e.team_id = $1 order by position`,
      [actor.teamId],
    );
    expect(owed.map(({ type }) => type)).toEqual(['landing.landed', 'a.b']);
  });
});
