import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Permission } from '@muster/contracts';
import { Body, Controller, Get, Global, Module, Param, Post, Query } from '@nestjs/common';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { type Actor, Authenticator } from '#messages/auth';
import { MusterError, SystemIds } from '#kernel';
import { Database } from '#platform/database';
import { startApp, type TestServer } from '#test/app';
import { IdempotencyKeys } from './idempotency-keys.ts';
import {
  CurrentActor,
  Drain,
  Idempotent,
  OwnedIds,
  Public,
  Requires,
  SocketGateway,
  visibleProjects,
} from './index.ts';

const ids = new SystemIds();
const [mine, theirs] = [ids.next('project'), ids.next('project')];
const [teamMine, teamTheirs] = [ids.next('team'), ids.next('team')];

const actorOf = (
  id: string,
  permissions: Permission[],
  projects: [string, Permission[]][] = [],
  onlyProjectId: string | null = null,
): Actor => ({
  kind: 'key',
  id,
  name: id,
  teamId: teamMine,
  permissions: new Set(permissions),
  projects: new Map(projects.map(([project, held]) => [project, new Set(held)])),
  onlyProjectId,
});
const actors: Readonly<Record<string, Actor>> = {
  all: actorOf('all', ['project.read', 'project.create', 'task.read', 'task.create']),
  one: actorOf('one', [], [[mine, ['project.read', 'task.create']]], mine),
  none: actorOf('none', ['key.read']),
  unlucky: actorOf('unlucky', ['project.read']),
};
const revocations = new Set<(actorId: string) => void>();

class KnownActors extends Authenticator {
  authenticate(credential: string): Promise<Actor | null> {
    return Promise.resolve(actors[credential] ?? null);
  }
  allows(actor: Actor, permission: Permission, projectId: string | null): boolean {
    return (
      actor.permissions.has(permission) ||
      (projectId !== null && actor.projects.get(projectId)?.has(permission) === true)
    );
  }
  onRevoked(listener: (actorId: string) => void): () => void {
    revocations.add(listener);
    return () => revocations.delete(listener);
  }
  issueSystemKey(): Promise<string> {
    return Promise.reject(new Error('none'));
  }
}

const thing = z.strictObject({
  projectId: z.string().optional(),
  name: z.string().min(2),
  size: z.number().int().default(1),
});
let made = 0;

@Controller('api/things')
class ThingsController {
  @Get('open')
  @Public()
  open() {
    return { open: true };
  }
  @Get()
  @Requires('project.read')
  list(@CurrentActor() actor: Actor) {
    return { visible: visibleProjects(actor, 'project.read') };
  }
  @Get('search')
  @Requires('project.read')
  search(
    @Query({ schema: z.strictObject({ limit: z.coerce.number().int().max(10).default(5) }) }) query: { limit: number },
  ) {
    return query;
  }
  @Get('bug')
  @Public()
  bug() {
    throw new Error('a secret detail');
  }
  @Get('fact')
  @Public()
  fact() {
    throw new MusterError('things.melted', 409, 'It melted. Freeze it.', { data: { celsius: 40 } });
  }
  @Get(':projectId')
  @Requires('project.read')
  one(@Param('projectId') projectId: string) {
    return { projectId };
  }
  @Post()
  @Requires('project.create')
  @Idempotent()
  make(@Body({ schema: thing }) body: z.infer<typeof thing>) {
    return { ...body, made: ++made };
  }
  @Post('tasks')
  @Requires('task.create')
  task(@Body({ schema: thing }) body: z.infer<typeof thing>) {
    return body;
  }
}

@WebSocketGateway({ path: '/api/echo' })
@Requires('project.read')
class EchoGateway extends SocketGateway {
  private readonly open = new Set<WebSocket>();

  protected override onConnection(socket: WebSocket, actor: Actor): void {
    this.open.add(socket);
    if (actor.name === 'unlucky') throw new Error('a secret detail');
    socket.on('message', (data) => socket.send(`${actor.name}: ${(data as Buffer).toString()}`));
  }
  override async onDrain(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const socket of this.open) socket.send('goodbye');
  }
}

@Global()
@Module({
  controllers: [ThingsController],
  providers: [EchoGateway, { provide: Authenticator, useClass: KnownActors }],
  exports: [Authenticator],
})
class ThingsModule {
  constructor() {
    OwnedIds.register('project', 'owned_things', { project: 'id' });
  }
}

describe('the HTTP pipe', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startApp({ modules: [{ module: ThingsModule }] });
    await server.database.sql('create table owned_things (id text primary key, team_id text)');
    await server.database.sql('insert into owned_things values ($1, $2), ($3, $4)', [
      mine,
      teamMine,
      theirs,
      teamTheirs,
    ]);
  });
  afterAll(() => server.close());

  const ask = (
    method: string,
    path: string,
    body?: unknown,
    token: string | null = 'all',
    headers?: Record<string, string>,
  ) => server.request(method, path, body, headers === undefined ? { token } : { token, headers });

  test('lets anybody call a public route, and asks the others who they are', async () => {
    expect(await ask('GET', '/api/things/open', undefined, null)).toMatchObject({ status: 200, body: { open: true } });
    for (const token of [null, 'wrong']) {
      const answer = await ask('GET', '/api/things', undefined, token);
      expect(answer).toMatchObject({ status: 401, body: { code: 'request.not_authenticated', status: 401 } });
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="Muster"');
    }
  });

  test('refuses who lacks the permission, and shows the others what they may see', async () => {
    expect(await ask('GET', '/api/things', undefined, 'none')).toMatchObject({
      status: 403,
      body: { code: 'request.not_allowed' },
    });
    expect(await ask('GET', '/api/things')).toMatchObject({ status: 200, body: { visible: 'all' } });
    expect(await ask('GET', '/api/things', undefined, 'one')).toMatchObject({ status: 200, body: { visible: [mine] } });
    expect(await ask('POST', '/api/things/tasks', { name: 'ab' }, 'one')).toMatchObject({ status: 403 });
    expect(await ask('POST', '/api/things/tasks', { name: 'ab', projectId: mine }, 'one')).toMatchObject({
      status: 201,
    });
  });

  test("answers somebody else's id like none, wherever it stands", async () => {
    const nobodys = ids.next('project');
    for (const id of [theirs, nobodys]) {
      const answers = [
        await ask('GET', `/api/things/${id}`, undefined),
        await ask('POST', '/api/things', { name: 'ab', projectId: id }),
        await ask('GET', `/api/things/search?projectId=${id}`, undefined),
      ];
      for (const answer of answers) expect(answer).toMatchObject({ status: 404, body: { code: 'request.not_found' } });
    }
    expect(await ask('GET', `/api/things/${mine}`, undefined)).toMatchObject({
      status: 200,
      body: { projectId: mine },
    });
  });

  test('names each wrong field', async () => {
    const answer = await ask('POST', '/api/things', { name: 'a', size: 'big', colour: 'red' });
    expect(answer).toMatchObject({ status: 400, body: { code: 'request.invalid' } });
    const { errors } = answer.body as { errors: { path: string; message: string }[] };
    expect(errors.map(({ path }) => path)).toEqual(expect.arrayContaining(['name', 'size']));
    expect(JSON.stringify(errors)).toContain('colour');
    expect(await ask('GET', '/api/things/search?limit=11', undefined)).toMatchObject({ status: 400 });
    expect(await ask('GET', '/api/things/search', undefined)).toMatchObject({ status: 200, body: { limit: 5 } });
  });

  test.each([
    ['broken JSON', '{"name":', { 'content-type': 'application/json' }, 400, 'request.malformed'],
    ['an empty body', '', { 'content-type': 'application/json' }, 400, 'request.'],
    ['another type', '<a/>', { 'content-type': 'application/xml' }, 415, 'request.unsupported_media_type'],
    [
      'a body too large',
      JSON.stringify({ name: 'x'.repeat(26 * 1024 * 1024) }),
      { 'content-type': 'application/json' },
      413,
      'request.too_large',
    ],
    [
      'a polluting key',
      '{"__proto__": {"a": 1}, "name": "ab"}',
      { 'content-type': 'application/json' },
      400,
      'request.',
    ],
  ])('answers %s with a problem', async (_, body, headers, status, code) => {
    const answer = await ask('POST', '/api/things', body, 'all', headers);
    expect(answer).toMatchObject({ status, body: { status } });
    expect((answer.body as { code: string }).code).toContain(code);
    expect((answer.body as { detail: string }).detail.length).toBeGreaterThan(20);
  });

  test('prints facts as problems and keeps our insides to ourselves', async () => {
    expect(await ask('GET', '/api/things/fact', undefined)).toMatchObject({
      status: 409,
      body: {
        code: 'things.melted',
        title: 'Conflict',
        detail: 'It melted. Freeze it.',
        data: { celsius: 40 },
        instance: '/api/things/fact',
      },
    });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const bug = await ask('GET', '/api/things/bug', undefined, null, { traceparent });
    expect(bug).toMatchObject({
      status: 500,
      body: { code: 'server.error', traceId: '0af7651916cd43dd8448eb211c80319c' },
    });
    expect(JSON.stringify(bug.body)).not.toContain('secret detail');
    expect(await ask('GET', '/nowhere', undefined)).toMatchObject({ status: 404, body: { code: 'request.not_found' } });
    expect(await ask('DELETE', '/api/things', undefined)).toMatchObject({ status: 404 });
  });

  test('answers with a problem what never becomes a request: an address that is none, a line that is no HTTP, endless headers', async () => {
    const badAddress = await ask('GET', '/api/%ff', undefined, null);
    expect(badAddress).toMatchObject({
      status: 400,
      body: { code: 'request.bad_address', instance: '/api/%ff', traceId: expect.stringMatching(/^[0-9a-f]{32}$/) },
    });
    expect(badAddress.headers.get('content-type')).toContain('application/problem+json');
    expect(badAddress.headers.get('x-content-type-options')).toBe('nosniff');

    for (const [sent, status, code] of [
      ['GARBAGE\r\n\r\n', 400, 'request.malformed'],
      [`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`, 431, 'request.headers_too_large'],
    ] as const) {
      const { hostname, port } = new URL(server.url);
      const connection = connect(Number(port), hostname);
      connection.on('error', () => {});
      connection.write(sent);
      const [head, body] = (await text(connection)).split('\r\n\r\n');
      expect(head).toContain(`HTTP/1.1 ${status} `);
      expect(head).toContain('application/problem+json');
      expect(JSON.parse(body!)).toMatchObject({ status, code });
    }
  });

  test('gives the first answer again for the same Idempotency-Key', async () => {
    const headers = { 'idempotency-key': 'k1' };
    const first = await ask('POST', '/api/things', { name: 'once' }, 'all', headers);
    const again = await ask('POST', '/api/things', { name: 'once' }, 'all', headers);
    expect(first.status).toBe(201);
    expect(again.status).toBe(201);
    expect(again.body).toEqual(first.body);
    expect(await ask('POST', '/api/things', { name: 'twice' }, 'all', headers)).toMatchObject({
      status: 422,
      body: { code: 'request.idempotency_key_reused' },
    });
    const other = await ask('POST', '/api/things', { name: 'once' }, 'all', { 'idempotency-key': 'k2' });
    expect(other.body).not.toEqual(first.body);
    const refused = { 'idempotency-key': 'k3' };
    expect(await ask('POST', '/api/things', { name: '' }, 'all', refused)).toMatchObject({ status: 400 });
    expect(await ask('POST', '/api/things', { name: 'fine' }, 'all', refused)).toMatchObject({ status: 201 });
  });

  test('answers requests that come at once each under its own Idempotency-Key, and lets one of the same key through', async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        ask('POST', '/api/things', { name: `at once ${n % 20}` }, 'all', { 'idempotency-key': `at once ${n % 20}` }),
      ),
    );
    const firsts: string[] = [];
    for (let name = 0; name < 20; name += 1) {
      const own = answers.filter((_, n) => n % 20 === name);
      const made = own.filter(({ status }) => status === 201);
      expect(made.length).toBeGreaterThan(0);
      firsts.push(JSON.stringify(made[0]?.body));
      for (const { body } of made) expect(body).toEqual(made[0]?.body);
      for (const one of own.filter(({ status }) => status !== 201))
        expect(one).toMatchObject({ status: 409, body: { code: 'request.in_progress' } });
    }
    expect(new Set(firsts).size).toBe(20);
  });

  test('keeps answers while others ask for the same keys in another order, and PostgreSQL has to end neither', async () => {
    const [database, kept] = [server.app.get(Database), server.app.get(IdempotencyKeys)];
    const keys = [1, 2, 3].map((n) => ({ teamId: teamMine, actorId: 'all', route: 'r', key: `crossed ${n}` }));
    expect(await Promise.all(keys.map((key) => kept.claim(key, 'h')))).toEqual([true, true, true]);
    const hot = jest.spyOn(database, 'hot');
    const working: Promise<unknown>[] = [];
    try {
      await database.transaction(async (tx) => {
        await tx.sql('set local idle_in_transaction_session_timeout = 0');
        await tx.sql(`select from idempotency_keys where key = 'crossed 2' for update`);
        for (const [before, work] of [
          () => keys.toReversed().map((key) => kept.keep(key, 201, {})),
          () => keys.map((key) => kept.claim(key, 'h')),
        ].entries()) {
          const all = Promise.all<unknown>(work());
          all.catch(() => {});
          working.push(all);
          for (let waiting = 0, tries = 0; waiting <= before; tries += 1) {
            if (tries > 400) throw new Error('It does not wait for the key.');
            await new Promise((resolve) => setTimeout(resolve, 25));
            const rows = await database.sql(
              `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%idempotency_keys%'`,
            );
            waiting = rows.length;
          }
        }
      });
      expect(await Promise.all(working)).toEqual([
        [undefined, undefined, undefined],
        [false, false, false],
      ]);
      // One that was ended would have been asked again.
      expect(hot).toHaveBeenCalledTimes(2);
    } finally {
      hot.mockRestore();
    }
  });

  test('forgets an Idempotency-Key after a week and not before', async () => {
    const aged = (days: number) =>
      server.app
        .get(Database)
        .sql(`update idempotency_keys set created_at = clock_timestamp() - make_interval(days => $1)`, [days]);
    const headers = { 'idempotency-key': 'weekly' };
    const first = await ask('POST', '/api/things', { name: 'once' }, 'all', headers);
    await aged(6);
    await server.app.get(IdempotencyKeys).forget();
    expect((await ask('POST', '/api/things', { name: 'once' }, 'all', headers)).body).toEqual(first.body);
    await aged(8);
    await server.app.get(IdempotencyKeys).forget();
    expect((await ask('POST', '/api/things', { name: 'once' }, 'all', headers)).body).not.toEqual(first.body);
  });

  const socket = (path: string, token: string | null, at = server) =>
    new WebSocket(
      at.url.replace('http', 'ws') + path,
      token === null ? {} : { headers: { authorization: `Bearer ${token}` } },
    );

  test('opens a socket only to who may, and closes it when the credential is revoked', async () => {
    for (const [path, token, status] of [
      ['/api/echo', null, 401],
      ['/api/echo', 'wrong', 401],
      ['/api/echo', 'none', 403],
      ['/api/other', 'all', 404],
    ] as const) {
      const refused = socket(path, token);
      refused.on('error', () => {});
      const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
      expect(response.statusCode).toBe(status);
      expect(response.headers['content-type']).toBe('application/problem+json');
      expect(JSON.parse(await text(response))).toMatchObject({ status });
      refused.terminate();
    }
    const open = socket('/api/echo', 'one');
    await once(open, 'open');
    open.send('hello');
    expect(String(((await once(open, 'message')) as [Buffer])[0])).toBe('one: hello');
    const closed = once(open, 'close');
    for (const listener of revocations) listener('one');
    expect((await closed)[0]).toBe(4401);
  });

  test('compresses nothing, ends a socket on a frame that is too large or a gateway that fails, and lives on', async () => {
    const large = socket('/api/echo', 'all');
    await once(large, 'open');
    expect(large.extensions).toBe('');
    expect((await ask('GET', '/metrics', undefined, null)).body).toMatch(/^muster_sockets_open(\{.*\})? 1$/m);
    large.send('x'.repeat(4 * 1024 * 1024 + 1));
    expect((await once(large, 'close'))[0]).toBe(1009);

    const failed = socket('/api/echo', 'unlucky');
    expect((await once(failed, 'close')).map(String)).toEqual(['1011', 'server error']);
    expect(await ask('GET', '/livez', undefined, null)).toMatchObject({ status: 200 });
  });

  test('says goodbye before it closes sockets, and opens none while it drains', async () => {
    const leaving = await startApp({ modules: [{ module: ThingsModule }] });
    const open = socket('/api/echo', 'all', leaving);
    await once(open, 'open');
    leaving.app.get(Drain).begin();
    const late = socket('/api/echo', 'all', leaving);
    late.on('error', () => {});
    const [, response] = (await once(late, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(response.statusCode).toBe(503);
    late.terminate();
    const goodbye = once(open, 'message');
    const closed = once(open, 'close');
    await leaving.close();
    expect(String((await goodbye)[0])).toBe('goodbye');
    expect((await closed)[0]).toBe(1001);
  });

  test('tells its health and its numbers', async () => {
    for (const path of ['/livez', '/readyz', '/startupz']) {
      expect(await ask('GET', path, undefined, null)).toMatchObject({ status: 200, body: { status: 'ok' } });
    }
    expect(await ask('GET', '/health', undefined, null)).toMatchObject({ status: 401 });
    const metrics = await ask('GET', '/metrics', undefined, null);
    expect(metrics.status).toBe(200);
    for (const name of [
      'http_server_request_duration_seconds_bucket',
      'muster_reactions_lag_seconds',
      'muster_database_pool_open',
      'process_cpu_seconds',
    ]) {
      expect(metrics.body).toContain(name);
    }
  });

  test('prints its API as OpenAPI 3.1', async () => {
    const document = await ask('GET', '/api/docs-json', undefined, null);
    expect(document).toMatchObject({ status: 200, body: { openapi: '3.1.0' } });
    expect(Object.keys((document.body as { paths: object }).paths)).toContain('/api/things/{projectId}');
  });

  test('does not boot with a route that declares nothing', async () => {
    @Controller('api/silent')
    class SilentController {
      @Get()
      silent() {
        return {};
      }
    }
    @Module({ controllers: [SilentController] })
    class SilentModule {}
    await expect(startApp({ modules: [{ module: ThingsModule }, { module: SilentModule }] })).rejects.toThrow(
      'GET SilentController.silent',
    );
  });

  test('does not boot with a gateway that anybody could open, or that would not be called', async () => {
    class Deaf extends SocketGateway {
      protected override onConnection(): void {}
    }
    @WebSocketGateway({ path: '/api/silent' })
    class SilentGateway extends Deaf {}
    @WebSocketGateway(4321, { path: '/api/elsewhere' })
    @Requires('project.read')
    class ElsewhereGateway extends Deaf {}
    @WebSocketGateway({ path: '/api/echo' })
    @Requires('project.read')
    class SecondGateway extends Deaf {}
    @WebSocketGateway({ path: '/api/foreign' })
    @Requires('project.read')
    class ForeignGateway {}
    @WebSocketGateway({ path: '/api/piecemeal' })
    @Requires('project.read')
    class PiecemealGateway extends Deaf {
      @SubscribeMessage('hello')
      hello(): void {}
    }
    @Module({ providers: [SilentGateway, ElsewhereGateway, SecondGateway, ForeignGateway, PiecemealGateway] })
    class GatewaysModule {}
    const booted = startApp({ modules: [{ module: ThingsModule }, { module: GatewaysModule }] });
    await expect(booted).rejects.toThrow(
      new RegExp(
        [
          'SilentGateway: add @Requires',
          'ElsewhereGateway: name a path, and no port',
          'SecondGateway: another gateway',
          'ForeignGateway: extend SocketGateway',
          'PiecemealGateway: read the frames',
        ].join('[^]*'),
      ),
    );
  });
});
