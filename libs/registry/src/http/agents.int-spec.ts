import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { permissions, type Permission } from '@muster/contracts';
import { Global, Module } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { parse } from 'yaml';
import { Clock, Ids, SystemClock, SystemIds } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import { Config, loadConfig } from '#platform/config';
import { Database } from '#platform/database';
import { HttpModule } from '#platform/http';
import { testDatabase, type TestDatabase } from '#test/database';
import { entities, RegistryModule } from '../registry.module.ts';

const ids = new SystemIds();
const teams = { ours: ids.next('team'), theirs: ids.next('team') };
const keyIds = { ours: ids.next('apiKey'), theirs: ids.next('apiKey') };

/** A credential is `<team>` or `<team>:<permission>,…`. */
class ByName extends Authenticator {
  async authenticate(credential: string): Promise<Actor | null> {
    const [team, may] = credential.split(':');
    if (team !== 'ours' && team !== 'theirs') return null;
    const granted = new Set(may === undefined ? permissions : (may.split(',') as Permission[]));
    return {
      kind: 'key',
      id: keyIds[team],
      name: team,
      teamId: teams[team],
      permissions: granted,
      projects: new Map(),
      onlyProjectId: null,
    };
  }
  allows(actor: Actor, permission: Permission): boolean {
    return actor.permissions.has(permission);
  }
  onRevoked(): () => void {
    return () => {};
  }
  issueSystemKey(): Promise<string> {
    return Promise.reject(new Error('no keys here'));
  }
}

let test: TestDatabase;
let app: NestFastifyApplication;
beforeAll(async () => {
  test = await testDatabase();
  const database = await test.open(entities);
  @Global()
  @Module({
    providers: [
      { provide: Database, useValue: database },
      { provide: Config, useValue: loadConfig({}) },
      { provide: Ids, useValue: ids },
      { provide: Clock, useClass: SystemClock },
      { provide: Authenticator, useClass: ByName },
    ],
    exports: [Config, Database, Ids, Clock, Authenticator],
  })
  class Ground {}
  const testing = await Test.createTestingModule({
    imports: [Ground, CqrsModule.forRoot(), HttpModule, RegistryModule],
  }).compile();
  app = testing.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
});
afterAll(async () => {
  await app.close();
  await test.drop();
});

interface Answer {
  status: number;
  type: string;
  text: string;
  // What a JSON answer holds is for each promise to say.
  body: Record<string, unknown> & { code?: string };
}
async function call(
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const answer = await app.inject({
    method,
    url: `/api/agents${path}`,
    headers: { authorization: 'Bearer ours', ...headers },
    ...(body === undefined ? {} : { payload: body as object }),
  });
  const type = String(answer.headers['content-type']);
  return { status: answer.statusCode, type, text: answer.body, body: type.includes('json') ? answer.json() : {} };
}
const yaml = { 'content-type': 'application/yaml' };
const source = (name: string, version = '1.0.0', more = '') =>
  `metadata: { name: ${name}, version: ${version} }\nskills: [{ name: code.review }]\n${more}`;

describe('/api/agents', () => {
  it('takes YAML in a field, JSON, and YAML as the body: 201 at first, 200 for the same again', async () => {
    const definition = { metadata: { name: 'a', version: '1.0.0' }, skills: [{ name: 'code.review' }] };
    expect(await call('POST', '', { source: source('a') })).toMatchObject({
      status: 201,
      body: { state: 'draft', name: 'a' },
    });
    expect(await call('POST', '', { definition })).toMatchObject({ status: 200, body: { state: 'draft' } });
    expect(await call('POST', '?publish=true', source('a'), yaml)).toMatchObject({
      status: 200,
      body: { state: 'published' },
    });
  });

  it('imports a bundle from YAML, and from a JSON list', async () => {
    expect(await call('POST', '/import', `${source('b1')}---\n${source('b2')}`, yaml)).toMatchObject({ status: 201 });
    const list = ['b3', 'b4'].map((name) => ({
      metadata: { name, version: '1.0.0' },
      skills: [{ name: 'code.review' }],
    }));
    expect(await call('POST', '/import', list)).toMatchObject({
      status: 201,
      body: { versions: [{ name: 'b3' }, { name: 'b4' }] },
    });
    expect(await call('POST', '/import', { definitions: list, publish: true })).toMatchObject({ status: 200 });
  });

  it('exports what can be registered again as the same version', async () => {
    const { body } = await call('POST', '', { source: source('c', '1.0.0', 'goals: [be kind]'), publish: true });
    const exported = await call('GET', '/c/export');
    expect(exported).toMatchObject({ status: 200, type: expect.stringContaining('application/yaml') });
    expect(Object.keys(parse(exported.text) as object).slice(0, 4)).toEqual([
      'apiVersion',
      'kind',
      'metadata',
      'goals',
    ]);
    expect(await call('POST', '', exported.text, yaml)).toMatchObject({ status: 200, body: { id: body['id'] } });
    expect(await call('GET', '/c/export?version=9.9.9')).toMatchObject({
      status: 404,
      body: { code: 'registry.version_unknown' },
    });
  });

  it('serves templates that can be registered as they are', async () => {
    const { body } = await call('GET', '/templates');
    expect(body['items']).toMatchObject([{ name: 'executor' }, { name: 'explorer' }, { name: 'qa-manager' }]);
    for (const name of ['executor', 'explorer', 'qa-manager']) {
      const template = await call('GET', `/templates/${name}`);
      expect(template.type).toContain('application/yaml');
      expect(await call('POST', '?publish=true', template.text, yaml)).toMatchObject({
        status: 201,
        body: { name, state: 'published' },
      });
    }
    expect(await call('GET', '/templates/..%2f..%2fpackage')).toMatchObject({ status: 404 });
    expect(await call('GET', '/events/landing.landed')).toMatchObject({
      body: { agents: [{ agent: 'qa-manager', capability: 'quality.review' }] },
    });
  });

  it('walks a version through its life', async () => {
    await call('POST', '', { source: source('d') });
    expect(await call('POST', '/d/versions/1.0.0/publish')).toMatchObject({
      status: 200,
      body: { state: 'published' },
    });
    expect(await call('DELETE', '/d/versions/1.0.0')).toMatchObject({
      status: 409,
      body: { code: 'registry.version_immutable' },
    });
    expect(await call('POST', '/d/versions/1.0.0/deprecate')).toMatchObject({
      status: 200,
      body: { state: 'deprecated' },
    });
    expect(await call('GET', '/d/versions/1.0.0')).toMatchObject({ status: 200, body: { state: 'deprecated' } });
    expect(await call('GET', '/d/versions')).toMatchObject({
      body: { items: [{ version: '1.0.0' }], nextCursor: null },
    });
    expect(await call('DELETE', '/d')).toMatchObject({ status: 204 });
    expect(await call('GET', '/d')).toMatchObject({ status: 404, body: { code: 'registry.agent_unknown' } });
  });

  it('searches', async () => {
    await call('POST', '', { source: source('needle'), publish: true });
    expect(await call('GET', '/search?q=needl&capability=code.review')).toMatchObject({
      body: { items: [{ name: 'needle' }] },
    });
  });

  const bad: [
    what: string,
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    headers: Record<string, string>,
    status: number,
    code: string,
  ][] = [
    ['neither source nor definition', 'POST', '', {}, {}, 400, 'request.invalid'],
    ['both', 'POST', '', { source: 'a', definition: {} }, {}, 400, 'request.invalid'],
    ['an unknown field', 'POST', '', { source: 'a', publsh: true }, {}, 400, 'request.invalid'],
    ['broken YAML', 'POST', '', 'a: [', yaml, 422, 'registry.definition_invalid'],
    ['an empty YAML body', 'POST', '', '# nothing', yaml, 422, 'registry.definition_invalid'],
    [
      'another content type',
      'POST',
      '',
      'x',
      { 'content-type': 'application/xml' },
      415,
      'request.unsupported_media_type',
    ],
    ['a body that is too large', 'POST', '', 'x'.repeat(600_000), yaml, 413, 'request.too_large'],
    ['a definition that is too large', 'POST', '', 'x'.repeat(300_000), yaml, 413, 'registry.definition_too_large'],
    [
      'a reserved capability',
      'POST',
      '',
      source('x').replace('code.review', 'muster.verify'),
      yaml,
      422,
      'registry.capability_reserved',
    ],
    ['a list where one is expected', 'POST', '', [], {}, 400, 'request.invalid'],
    ['a page size that is none', 'GET', '?limit=many', undefined, {}, 400, 'request.invalid'],
    ['an unknown filter', 'GET', '?colour=red', undefined, {}, 400, 'request.invalid'],
    ['a foreign cursor', 'GET', '?cursor=abc', undefined, {}, 400, 'request.bad_cursor'],
    ['an event type that is none', 'GET', '/events/NOPE', undefined, {}, 400, 'request.invalid'],
    ['an unknown version', 'GET', '/a/versions/7.7.7', undefined, {}, 404, 'registry.version_unknown'],
    ["an id that is nobody's", 'GET', `/${new SystemIds().next('agent')}`, undefined, {}, 404, 'request.not_found'],
    ['a NUL in a name', 'GET', '/a%00b', undefined, {}, 400, 'request.invalid'],
    ['no credential', 'GET', '', undefined, { authorization: 'Bearer nobody' }, 401, 'request.not_authenticated'],
    [
      'too few permissions',
      'POST',
      '',
      { source: source('x') },
      { authorization: 'Bearer ours:agent.read' },
      403,
      'request.not_allowed',
    ],
  ];
  it.each(bad)('answers %s with what to do', async (_what, method, path, body, headers, status, code) => {
    const answer = await call(method, path, body, headers);
    expect(answer).toMatchObject({ status, body: { code, status } });
    expect(answer.type).toContain('application/problem+json');
  });

  it('says line and column of what is wrong', async () => {
    const { body } = await call(
      'POST',
      '',
      'metadata:\n  name: Not A Name\n  version: 1.0.0\nskills: [{ name: a.b }]\n',
      yaml,
    );
    expect(body).toMatchObject({ errors: [{ path: 'metadata.name', line: 2, column: 9 }] });
    expect(body['detail']).toContain('line 2, column 9');
  });

  it('answers another team as if there were nothing', async () => {
    const { body } = await call('POST', '', { source: source('hidden'), publish: true });
    const theirs = { authorization: 'Bearer theirs' };
    for (const path of [
      '/hidden',
      `/${String(body['agentId'])}`,
      '/hidden/versions',
      '/hidden/export',
      '/hidden/versions/1.0.0',
    ]) {
      expect(await call('GET', path, undefined, theirs)).toMatchObject({ status: 404 });
    }
    expect(await call('DELETE', '/hidden', undefined, theirs)).toMatchObject({ status: 404 });
    expect(await call('GET', '', undefined, theirs)).toMatchObject({ body: { items: [] } });
  });

  it('answers a repeated request with the same key as it did at first', async () => {
    const key = { 'idempotency-key': 'once' };
    const first = await call('POST', '', { source: source('once') }, key);
    expect(await call('POST', '', { source: source('once') }, key)).toMatchObject({ status: 201, body: first.body });
    expect(await call('POST', '', { source: source('twice') }, key)).toMatchObject({ status: 422 });
  });
});
