import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Permission, permissions } from '@muster/contracts';
import { SystemClock, SystemIds } from '#kernel';
import { type Actor, Authenticator } from '#messages/auth';
import { FindPublishedVersion, FindTriggers } from '#messages/registry';
import { Caches } from '#platform/caching';
import type { Database } from '#platform/database';
import { PostgresCarrier, Signals } from '#platform/redis';
import { testDatabase, type TestDatabase } from '#test/database';
import { registryEntities } from './index.ts';
import { DeleteAgent, DeleteAgentHandler } from './commands/delete-agent.ts';
import { DeleteDraft, DeleteDraftHandler } from './commands/delete-draft.ts';
import { DeprecateVersion, DeprecateVersionHandler } from './commands/deprecate-version.ts';
import { PublishVersion, PublishVersionHandler } from './commands/publish-version.ts';
import { RegisterAgents, RegisterAgentsHandler, type SentAgents } from './commands/register-agents.ts';
import { FindAgent, FindAgentHandler } from './queries/find-agent.ts';
import { FindPublishedVersionHandler } from './queries/find-published-version.ts';
import { FindTriggersHandler } from './queries/find-triggers.ts';
import { FindVersion, FindVersionHandler } from './queries/find-version.ts';
import { ListAgents, ListAgentsHandler } from './queries/list-agents.ts';
import { ListVersions, ListVersionsHandler } from './queries/list-versions.ts';

class ByPermission extends Authenticator {
  authenticate(): Promise<Actor | null> {
    return Promise.resolve(null);
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

const ids = new SystemIds();
const actorOf = (teamId: string, may: readonly Permission[] = permissions): Actor => ({
  kind: 'user',
  id: ids.next('user'),
  name: 'Ada',
  teamId,
  permissions: new Set(may),
  projects: new Map(),
  onlyProjectId: null,
});
const source = (name: string, version: string, more = ''): string =>
  `metadata: { name: ${name}, version: ${version} }\nskills: [{ name: code.review }, { name: code.fix }]\n${more}`;

let test: TestDatabase;
let database: Database;
let findPublished: FindPublishedVersionHandler;
beforeAll(async () => {
  test = await testDatabase();
  database = await test.open(registryEntities);
  // One for all, as in the server: what it keeps has to be forgotten in time.
  findPublished = new FindPublishedVersionHandler(
    database,
    new Caches(database, new Signals(new PostgresCarrier(database))),
  );
});
afterAll(() => test.drop());

/** A team of its own for each promise. */
function registry(may?: readonly Permission[]) {
  const clock = new SystemClock();
  const actor = actorOf(ids.next('team'), may);
  const { teamId } = actor;
  const register = new RegisterAgentsHandler(database, ids, clock, new ByPermission());
  return {
    actor,
    teamId,
    send: (sent: Partial<SentAgents>, single = true) =>
      register.execute(new RegisterAgents(actor, { publish: false, ...sent }, single)),
    publish: (agent: string, version: string) =>
      new PublishVersionHandler(database, clock).execute(new PublishVersion(teamId, agent, version)),
    deprecate: (agent: string, version: string) =>
      new DeprecateVersionHandler(database, clock).execute(new DeprecateVersion(teamId, agent, version)),
    deleteDraft: (agent: string, version: string) =>
      new DeleteDraftHandler(database).execute(new DeleteDraft(teamId, agent, version)),
    deleteAgent: (agent: string) => new DeleteAgentHandler(database).execute(new DeleteAgent(teamId, agent)),
    find: (agent: string) => new FindAgentHandler(database).execute(new FindAgent(teamId, agent)),
    version: (agent: string, version: string | null) =>
      new FindVersionHandler(database).execute(new FindVersion(teamId, agent, version)),
    versions: (agent: string, limit: number, cursor?: string) =>
      new ListVersionsHandler(database).execute(new ListVersions(teamId, agent, { limit, cursor })),
    list: (limit: number, cursor?: string, filter = {}) =>
      new ListAgentsHandler(database).execute(new ListAgents(teamId, { limit, cursor }, filter)),
    published: (agent: string, range: string) => findPublished.execute(new FindPublishedVersion(teamId, agent, range)),
    triggers: (event: string) => new FindTriggersHandler(database).execute(new FindTriggers(teamId, event)),
    events: () =>
      test.sql<{ type: string; data: object }>('select type, data from events where team_id = $1 order by position', [
        teamId,
      ]),
  };
}

describe('registering', () => {
  it('gives the same version for the same content, however it is written', async () => {
    const { send } = registry();
    const first = await send({ source: source('reviewer', '1.0.0') });
    const again = await send({
      definitions: [
        { skills: [{ name: 'code.review' }, { name: 'code.fix' }], metadata: { version: '1.0.0', name: 'reviewer' } },
      ],
    });
    expect(first).toMatchObject({ created: true, versions: [{ state: 'draft', version: '1.0.0' }] });
    expect(again).toMatchObject({
      created: false,
      versions: [{ id: first.versions[0]?.id, contentHash: first.versions[0]?.contentHash }],
    });
  });

  it('refuses another content under the same version, and says what to do', async () => {
    const { send } = registry();
    await send({ source: source('reviewer', '1.0.0') });
    await expect(send({ source: source('reviewer', '1.0.0', 'goals: [other]') })).rejects.toMatchObject({
      code: 'registry.version_taken',
      status: 409,
      message: expect.stringContaining('Raise metadata.version'),
    });
  });

  it('makes one version of many equal registrations at once', async () => {
    const { send, versions } = registry();
    const all = await Promise.all(
      Array.from({ length: 8 }, () => send({ source: source('reviewer', '1.0.0'), publish: true })),
    );
    expect(new Set(all.map(({ versions: [one] }) => one?.id)).size).toBe(1);
    expect(all.filter(({ created }) => created)).toHaveLength(1);
    expect((await versions('reviewer', 10)).items).toHaveLength(1);
  });

  it('takes a bundle all or nothing', async () => {
    const { send, list } = registry();
    const bad = [source('one', '1.0.0'), source('two', 'nope')].join('---\n');
    await expect(send({ source: bad }, false)).rejects.toMatchObject({
      code: 'registry.definition_invalid',
      errors: [{ path: '1.metadata.version', line: 4, column: 33 }],
    });
    await send({ source: source('three', '1.0.0') });
    const taken = [source('one', '1.0.0'), source('three', '1.0.0', 'goals: [other]')].join('---\n');
    await expect(send({ source: taken }, false)).rejects.toMatchObject({ code: 'registry.version_taken' });
    expect((await list(10)).items.map(({ name }) => name)).toEqual(['three']);
    const good = await send(
      { source: [source('two', '1.0.0'), source('one', '1.0.0')].join('---\n'), publish: true },
      false,
    );
    expect(good.versions.map(({ name, state }) => [name, state])).toEqual([
      ['two', 'published'],
      ['one', 'published'],
    ]);
    const asList = await send(
      { source: JSON.stringify([{ metadata: { name: 'four', version: '1.0.0' }, skills: [{ name: 'a.b' }] }]) },
      false,
    );
    expect(asList.versions).toHaveLength(1);
  });

  it('refuses several documents where one is expected', async () => {
    await expect(
      registry().send({ source: `${source('a', '1.0.0')}---\n${source('b', '1.0.0')}` }),
    ).rejects.toMatchObject({ status: 422 });
  });

  it('publishes in the same breath only for those who may', async () => {
    const { send, list } = registry(['agent.read', 'agent.write']);
    await expect(send({ source: source('reviewer', '1.0.0'), publish: true })).rejects.toMatchObject({ status: 403 });
    expect((await list(10)).items).toEqual([]);
  });
});

describe('the life of a version', () => {
  it('goes from draft to published to deprecated, and tells of it once', async () => {
    const { send, publish, deprecate, events, find } = registry();
    await send({ source: source('reviewer', '1.0.0') });
    await expect(deprecate('reviewer', '1.0.0')).rejects.toMatchObject({ code: 'registry.wrong_state', status: 409 });
    expect(await find('reviewer')).toMatchObject({ latestVersion: null, capabilities: [] });
    expect((await publish('reviewer', '1.0.0')).state).toBe('published');
    expect((await publish('reviewer', '1.0.0')).state).toBe('published');
    expect(await find('reviewer')).toMatchObject({ latestVersion: '1.0.0', capabilities: ['code.review', 'code.fix'] });
    expect((await deprecate('reviewer', '1.0.0')).state).toBe('deprecated');
    expect((await deprecate('reviewer', '1.0.0')).state).toBe('deprecated');
    await expect(publish('reviewer', '1.0.0')).rejects.toMatchObject({ code: 'registry.wrong_state' });
    expect(await events()).toEqual([
      { type: 'agent.published', data: { agent: 'reviewer', version: '1.0.0' } },
      { type: 'agent.deprecated', data: { agent: 'reviewer', version: '1.0.0' } },
    ]);
  });

  it('lets drafts be deleted, and nothing that was published', async () => {
    const { send, deleteDraft, publish, find } = registry();
    await send({ source: source('reviewer', '1.0.0'), publish: true });
    await send({ source: source('reviewer', '1.1.0') });
    await expect(deleteDraft('reviewer', '1.0.0')).rejects.toMatchObject({
      code: 'registry.version_immutable',
      status: 409,
    });
    await deleteDraft('reviewer', '1.1.0');
    await expect(publish('reviewer', '1.1.0')).rejects.toMatchObject({ code: 'registry.version_unknown', status: 404 });
    await send({ source: source('brief', '1.0.0') });
    await deleteDraft('brief', '1.0.0');
    await expect(find('brief')).rejects.toMatchObject({ status: 404 });
  });

  it('deletes an agent that nothing uses, and leaves one that something refers to', async () => {
    const { send, deleteAgent, find, versions } = registry();
    const {
      versions: [used],
    } = await send({ source: source('used', '1.0.0'), publish: true });
    await send({ source: source('unused', '1.0.0'), publish: true });
    await test.sql(`create table if not exists uses (agent_version_id text collate "C", capability text collate "C",
      foreign key (agent_version_id, capability) references agent_version_skills (agent_version_id, capability))`);
    await test.sql('insert into uses values ($1, $2)', [used?.id, 'code.review']);
    await expect(deleteAgent('used')).rejects.toMatchObject({ code: 'registry.agent_in_use', status: 409 });
    expect((await versions('used', 10)).items).toHaveLength(1);
    await deleteAgent('unused');
    await expect(find('unused')).rejects.toMatchObject({ status: 404 });
    await test.sql('drop table uses');
  });

  it('is kept by PostgreSQL too, whoever writes', async () => {
    const { send } = registry();
    const {
      versions: [version],
    } = await send({ source: source('reviewer', '1.0.0'), publish: true });
    const id = version?.id;
    const refused = { code: '23001' };
    await expect(test.sql(`update agent_versions set definition = '{}' where id = $1`, [id])).rejects.toMatchObject(
      refused,
    );
    await expect(test.sql(`update agent_versions set version = '2.0.0' where id = $1`, [id])).rejects.toMatchObject(
      refused,
    );
    await expect(
      test.sql(`update agent_versions set state = 'draft', published_at = null where id = $1`, [id]),
    ).rejects.toMatchObject(refused);
    await expect(test.sql(`delete from agent_versions where id = $1`, [id])).rejects.toMatchObject(refused);
    await expect(test.sql(`insert into agent_version_skills values ($1, 'code.steal')`, [id])).rejects.toMatchObject(
      refused,
    );
    await expect(test.sql(`delete from agent_version_skills where agent_version_id = $1`, [id])).rejects.toMatchObject(
      refused,
    );
    const {
      versions: [draft],
    } = await send({ source: source('reviewer', '1.1.0') });
    await test.sql(`insert into agent_version_skills values ($1, 'code.steal')`, [draft?.id]);
    await expect(
      test.sql(`update agent_versions set state = 'published', published_at = now() where id = $1`, [draft?.id]),
    ).rejects.toMatchObject(refused);
  });
});

describe('finding', () => {
  it('pages through agents and versions without missing or repeating one', async () => {
    const { send, list, versions } = registry();
    for (const name of ['d', 'a', 'c', 'b', 'e']) await send({ source: source(name, '1.0.0') });
    for (const version of ['1.1.0', '1.2.0']) await send({ source: source('a', version) });
    const seen: string[] = [];
    let cursor: string | undefined;
    for (let round = 0; round < 10; round += 1) {
      const page = await list(2, cursor);
      seen.push(...page.items.map(({ name }) => name));
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e']);
    const first = await versions('a', 2);
    const rest = await versions('a', 2, first.nextCursor ?? undefined);
    expect([...first.items, ...rest.items].map(({ version }) => version)).toEqual(['1.2.0', '1.1.0', '1.0.0']);
    expect(rest.nextCursor).toBeNull();
    await expect(list(2, 'not-a-cursor')).rejects.toMatchObject({ code: 'request.bad_cursor' });
  });

  it('searches by words as text and by published capability', async () => {
    const { send, list } = registry();
    const described =
      'metadata: { name: linter, version: 1.0.0, description: "Finds 100% of it" }\nskills: [{ name: code.lint }]\n';
    await send({ source: described, publish: true });
    await send({ source: source('reviewer', '1.0.0'), publish: true });
    await send({ source: source('drafted', '1.0.0') });
    const names = async (filter: object) => (await list(10, undefined, filter)).items.map(({ name }) => name);
    expect(await names({ q: '100%' })).toEqual(['linter']);
    expect(await names({ q: '%' })).toEqual(['linter']);
    expect(await names({ q: 'LINT' })).toEqual(['linter']);
    expect(await names({ capability: 'code.review' })).toEqual(['reviewer']);
    expect(await names({ capability: 'code' })).toEqual([]);
  });

  it('finds the highest published version within a range', async () => {
    const { send, published, deprecate, version } = registry();
    for (const number of ['1.0.0', '1.10.0', '1.9.0', '2.0.0', '3.0.0-beta.1'])
      await send({ source: source('a', number), publish: true });
    await send({ source: source('a', '1.11.0') });
    expect((await published('a', '^1.0.0'))?.version).toBe('1.10.0');
    expect((await published('a', '*'))?.version).toBe('2.0.0');
    expect((await published('a', '3.0.0-beta.1'))?.version).toBe('3.0.0-beta.1');
    expect(await published('a', '1.11.0')).toBeNull();
    expect(await published('a', 'not a range')).toBeNull();
    expect(await published('nobody', '*')).toBeNull();
    await deprecate('a', '2.0.0');
    expect((await published('a', '*'))?.version).toBe('1.10.0');
    expect((await version('a', null)).version).toBe('1.10.0');
  });

  it('shows nothing of another team', async () => {
    const mine = registry();
    const {
      versions: [version],
    } = await mine.send({
      source: source('secret', '1.0.0', 'triggers: [{ event: a.b, capability: code.fix }]'),
      publish: true,
    });
    const other = registry();
    for (const word of ['secret', version?.agentId ?? '']) {
      await expect(other.find(word)).rejects.toMatchObject({ status: 404 });
      await expect(other.version(word, '1.0.0')).rejects.toMatchObject({ status: 404 });
      await expect(other.deprecate(word, '1.0.0')).rejects.toMatchObject({ status: 404 });
      await expect(other.deleteAgent(word)).rejects.toMatchObject({ status: 404 });
    }
    expect(await other.published('secret', '*')).toBeNull();
    expect(await other.triggers('a.b')).toEqual([]);
    expect((await mine.find(version?.agentId ?? '')).name).toBe('secret');
    expect((await mine.triggers('a.b')).map(({ name }) => name)).toEqual(['secret']);
  });

  it('knows the triggers of what is published only, the highest version first', async () => {
    const { send, triggers, deprecate } = registry();
    const more =
      'triggers: [{ event: issue.opened, capability: code.fix }, { event: issue.opened, capability: code.review }]';
    for (const number of ['1.9.0', '1.10.0']) await send({ source: source('a', number, more), publish: true });
    await send({ source: source('a', '2.0.0', more) });
    expect((await triggers('issue.opened')).map(({ version }) => version)).toEqual(['1.10.0', '1.9.0']);
    await deprecate('a', '1.10.0');
    expect((await triggers('issue.opened')).map(({ version }) => version)).toEqual(['1.9.0']);
    expect(await triggers('issue.closed')).toEqual([]);
  });
});
