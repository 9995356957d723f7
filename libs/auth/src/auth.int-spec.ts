import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ApiKeyCreated, Tokens, UserView, WhoAmI } from '@muster/contracts';
import { type Actor, Authenticator } from '#messages/auth';
import { SystemIds } from '#kernel';
import { startApp, type TestServer } from '#test/app';
import { FirstAdmin } from './access/first-admin.ts';
import { KeyUsage } from './access/key-usage.ts';
import { Revocations } from './access/revocations.ts';
import { RoomAuthenticator } from './access/room-authenticator.ts';
import { authEntities, AuthModule } from './index.ts';

const password = 'a long enough password';
const projectId = new SystemIds().next('project');
const otherProjectId = new SystemIds().next('project');

let server: TestServer;
let authenticator: Authenticator;
let people = 0;

/** The routes of this room alone; ids of projects are nobody's here, so the guard lets them pass. */
beforeAll(async () => {
  server = await startApp({ modules: [{ module: AuthModule, entities: authEntities }] });
  authenticator = server.app.get(Authenticator);
});
afterAll(() => server.close());

const codeOf = (response: { body: never }): unknown => (response.body as { code?: unknown }).code;
const logIn = async (email: string, secret = password): Promise<Tokens> => {
  const response = await server.request('POST', '/api/auth/login', { email, password: secret }, { token: null });
  expect(response.status).toBe(200);
  return response.body;
};
const newUser = async (body: object): Promise<UserView & Tokens> => {
  const email = `person${++people}@example.org`;
  const response = await server.request('POST', '/api/users', { email, password, ...body });
  expect(response.status).toBe(201);
  return { ...(response.body as UserView), ...(await logIn(email)) };
};
const newKey = async (body: object, token?: string): Promise<ApiKeyCreated> => {
  const response = await server.request(
    'POST',
    '/api/keys',
    { name: 'k', ...body },
    token === undefined ? {} : { token },
  );
  expect(response.status).toBe(201);
  return response.body;
};
const me = async (token: string): Promise<WhoAmI | null> => {
  const response = await server.request('GET', '/api/auth/me', undefined, { token });
  return response.status === 200 ? response.body : null;
};
const refresh = (refreshToken: string) =>
  server.request('POST', '/api/auth/refresh', { refreshToken }, { token: null });

describe('logging in', () => {
  test('gives an access token that says who one is', async () => {
    expect(await me(server.admin.token)).toMatchObject({ kind: 'user', name: 'Administrator' });
    const [head = ''] = server.admin.token.split('.');
    expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toMatchObject({ alg: 'RS256' });
  });

  test('answers an unknown address like a wrong password', async () => {
    const wrong = { email: 'admin@localhost', password: 'not it' };
    const answers = await Promise.all(
      [wrong, { ...wrong, email: 'nobody@example.org' }].map((body) =>
        server.request('POST', '/api/auth/login', body, { token: null }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([401, 401]);
    expect(answers.map(codeOf)).toEqual(['auth.login_failed', 'auth.login_failed']);
  });

  test('is refused after ten wrong passwords, the right one included', async () => {
    const user = await newUser({ role: 'viewer' });
    const attempt = (secret: string) =>
      server.request('POST', '/api/auth/login', { email: user.email, password: secret }, { token: null });
    const all = await Promise.all(Array.from({ length: 15 }, (_, n) => attempt(`wrong ${n}`)));
    expect(all.filter(({ status }) => status === 401)).toHaveLength(10);
    expect(codeOf(await attempt(password))).toBe('auth.too_many_attempts');
  });

  test('and making keys answers odd characters with a 4xx', async () => {
    const odd = 'a\u0000b\ud800';
    const answers = [
      await server.request('POST', '/api/auth/login', { email: odd, password: odd }, { token: null }),
      await server.request('POST', '/api/auth/refresh', { refreshToken: odd }, { token: null }),
      await server.request('POST', '/api/keys', { name: odd }),
      await server.request('POST', '/api/users', { email: 'odd@example.org', name: odd, password, role: 'viewer' }),
      await server.request('GET', '/api/keys?cursor=WyJcdTAwMDAiXQ'),
    ];
    for (const { status } of answers) expect([400, 401]).toContain(status);
  });

  test('refuses a token that somebody else signed, altered or left unsigned', async () => {
    const [head = '', body = '', signature = ''] = server.admin.token.split('.');
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as object;
    const changed = Buffer.from(JSON.stringify({ ...claims, exp: 9_999_999_999 })).toString('base64url');
    for (const token of [`${none}.${body}.`, `${head}.${changed}.${signature}`, 'muster_x_y', 'a.b.c']) {
      expect(await me(token)).toBeNull();
    }
  });
});

describe('a session', () => {
  test('goes on with each refresh, and ends when a refresh token comes a second time', async () => {
    const user = await newUser({ role: 'viewer' });
    const next = (await refresh(user.refreshToken)).body as Tokens;
    expect(await me(next.accessToken)).not.toBeNull();
    expect((await refresh(user.refreshToken)).status).toBe(401);
    expect((await refresh(next.refreshToken)).status).toBe(401);
    expect(await me(next.accessToken)).toBeNull();
  });

  test('of ten refreshes at once with one token is granted once', async () => {
    const user = await newUser({ role: 'viewer' });
    const all = await Promise.all(Array.from({ length: 10 }, () => refresh(user.refreshToken)));
    expect(all.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('ends with logging out, access token included', async () => {
    const user = await newUser({ role: 'viewer' });
    const { refreshToken, accessToken } = user;
    expect(await me(accessToken)).not.toBeNull();
    expect((await server.request('POST', '/api/auth/logout', { refreshToken }, { token: null })).status).toBe(204);
    expect(await me(accessToken)).toBeNull();
  });

  test('ends when the password changes, and the old password is of no use', async () => {
    const user = await newUser({ role: 'viewer' });
    const change = (currentPassword: string, token: string) =>
      server.request('POST', '/api/auth/password', { currentPassword, newPassword: 'another long one' }, { token });
    expect(codeOf(await change('not the current', user.accessToken))).toBe('auth.wrong_password');
    const changed = await change(password, user.accessToken);
    expect(changed.status).toBe(200);
    expect(await me(user.accessToken)).toBeNull();
    expect(await me((changed.body as Tokens).accessToken)).not.toBeNull();
    expect((await refresh(user.refreshToken)).status).toBe(401);
    await logIn(user.email, 'another long one');
  });
});

describe('an API key', () => {
  test('is shown once and kept as a hash', async () => {
    const key = await newKey({ role: 'agent' });
    expect(key.secret).toMatch(/^muster_[0-9a-z]{26}_.{43}$/);
    const [row] = await server.database.sql<{ row: string }>('select k::text as row from api_keys k where id = $1', [
      key.id,
    ]);
    expect(row?.row).not.toContain(key.secret.slice(-43));
    const list = await server.request('GET', '/api/keys');
    expect(JSON.stringify(list.body)).toContain(key.id);
    expect(JSON.stringify(list.body)).not.toContain('secret');
    const held = (await me(key.secret))?.permissions;
    expect(held).toContain('instance.connect');
    expect(held).not.toContain('repository.import');
    expect(held).not.toContain('landing.rollback');
  });

  test('of another secret is nobody', async () => {
    const key = await newKey({ role: 'agent' });
    expect(await me(key.secret.slice(0, -4) + 'AAAA')).toBeNull();
  });

  test('is no good from the moment it is revoked, with the keys that it made, and sockets hear of it', async () => {
    const key = await newKey({ role: 'maintainer' });
    const child = await newKey({ role: 'agent' }, key.secret);
    const heard: string[] = [];
    const off = authenticator.onRevoked((actorId) => heard.push(actorId));
    expect(await me(child.secret)).not.toBeNull();
    expect((await server.request('DELETE', `/api/keys/${key.id}`)).status).toBe(204);
    expect(await me(key.secret)).toBeNull();
    expect(await me(child.secret)).toBeNull();
    expect(heard.sort()).toEqual([key.id, child.id].sort());
    off();
  });

  test('that another server revoked is heard of here', async () => {
    const key = await newKey({ role: 'agent' });
    expect(await me(key.secret)).not.toBeNull();
    await server.database.sql('update api_keys set revoked_at = now() where id = $1', [key.id]);
    await server.database.sql('insert into revocations (actor_id) values ($1)', [key.id]);
    const heard: string[] = [];
    const off = authenticator.onRevoked((actorId) => heard.push(actorId));
    await server.app.get(Revocations).look();
    off();
    expect(await me(key.secret)).toBeNull();
  });

  test('never gets more than its maker has', async () => {
    const maintainer = await newUser({ role: 'maintainer' });
    const token = maintainer.accessToken;
    const ask = (body: object) => server.request('POST', '/api/keys', { name: 'k', ...body }, { token });
    expect(codeOf(await ask({ role: 'owner' }))).toBe('auth.more_than_you_have');
    expect(codeOf(await ask({ role: 'owner', permissions: ['team.manage'] }))).toBe('auth.more_than_you_have');
    expect(codeOf(await ask({ role: 'agent', permissions: ['landing.rollback'] }))).toBe('auth.not_of_this_role');
    const narrow = await newKey({ role: 'maintainer', permissions: ['key.manage', 'team.read'] }, token);
    const wider = await server.request('POST', '/api/keys', { name: 'k', role: 'agent' }, { token: narrow.secret });
    expect(codeOf(wider)).toBe('auth.more_than_you_have');
  });

  test('can be given system.* by nobody', async () => {
    const response = await server.request('POST', '/api/keys', {
      name: 'k',
      role: 'owner',
      permissions: ['system.verify'],
    });
    expect(response.status).toBe(403);
    await expect(
      server.database.sql(`update api_keys set permissions = '["system.verify"]' where true`),
    ).rejects.toThrow(/check/);
  });

  test('loses what the person behind it loses', async () => {
    const person = await newUser({ role: 'maintainer' });
    const key = await newKey({ role: 'maintainer' }, person.accessToken);
    expect((await me(key.secret))?.permissions).toContain('landing.rollback');
    await server.request('PUT', `/api/users/${person.id}/role`, { role: 'viewer' });
    expect((await me(key.secret))?.permissions).not.toContain('landing.rollback');
    await server.request('DELETE', `/api/users/${person.id}`);
    expect(await me(key.secret)).toBeNull();
    expect(await me(person.accessToken)).toBeNull();
  });

  test('of one project is nobody in the team and in others', async () => {
    const key = await newKey({ role: 'maintainer', projectId });
    const actor = (await authenticator.authenticate(key.secret)) as Actor;
    expect(authenticator.allows(actor, 'task.read', projectId)).toBe(true);
    expect(authenticator.allows(actor, 'task.read', otherProjectId)).toBe(false);
    expect(authenticator.allows(actor, 'task.read', null)).toBe(false);
    const child = await newKey({ role: 'agent' }, key.secret);
    expect(child.projectId).toBe(projectId);
  });

  test('ends at its time', async () => {
    const soon = await newKey({ role: 'agent', expiresAt: new Date(Date.now() + 60_000).toISOString() });
    expect(await me(soon.secret)).not.toBeNull();
    await server.database.sql(`update api_keys set expires_at = now() - interval '1 second' where id = $1`, [soon.id]);
    server.app.get(RoomAuthenticator).forget();
    expect(await me(soon.secret)).toBeNull();
    const late = await server.request('POST', '/api/keys', { name: 'k', expiresAt: '2020-01-01T00:00:00Z' });
    expect(codeOf(late)).toBe('auth.already_expired');
  });

  test('says when it was last used, written for many uses at once', async () => {
    const key = await newKey({ role: 'agent' });
    await Promise.all(Array.from({ length: 20 }, () => me(key.secret)));
    const lastUsed = () => server.database.sql('select last_used_at from api_keys where id = $1', [key.id]);
    expect(await lastUsed()).toEqual([{ last_used_at: null }]);
    await server.app.get(KeyUsage).write();
    expect(await lastUsed()).toEqual([{ last_used_at: expect.any(Date) }]);
  });
});

describe('roles', () => {
  test('of one project count there only', async () => {
    const person = await newUser({ role: 'developer', projectId });
    const actor = (await authenticator.authenticate(person.accessToken)) as Actor;
    expect(authenticator.allows(actor, 'task.create', projectId)).toBe(true);
    expect(authenticator.allows(actor, 'task.create', otherProjectId)).toBe(false);
    expect(authenticator.allows(actor, 'task.create', null)).toBe(false);
  });

  test('are given and taken only by who has as much', async () => {
    const maintainer = await newUser({ role: 'maintainer' });
    const owner = await newUser({ role: 'owner' });
    const as = { token: maintainer.accessToken };
    const set = (id: string, role: string) => server.request('PUT', `/api/users/${id}/role`, { role }, as);
    expect((await set(maintainer.id, 'owner')).status).toBe(403);
    expect((await set(owner.id, 'viewer')).status).toBe(403);
    expect((await server.request('DELETE', `/api/users/${owner.id}`, undefined, as)).status).toBe(403);
    expect(
      (await server.request('POST', '/api/users', { email: 'x@example.org', password, role: 'owner' }, as)).status,
    ).toBe(403);
  });

  test('leave a team its last owner', async () => {
    const team = await server.request('POST', '/api/teams', {
      name: 'Others',
      slug: 'others',
      owner: { email: 'owner@others.example.org', password },
    });
    expect(team.status).toBe(201);
    const { accessToken: token } = await logIn('owner@others.example.org');
    const { id } = (await me(token)) as WhoAmI;
    const gone = await server.request('DELETE', `/api/users/${id}`, undefined, { token });
    const less = await server.request('PUT', `/api/users/${id}/role`, { role: 'viewer' }, { token });
    expect([codeOf(gone), codeOf(less)]).toEqual(['auth.last_owner', 'auth.last_owner']);
    const nested = await server.request(
      'POST',
      '/api/teams',
      { name: 'More', slug: 'more', owner: { email: 'a@b.example.org', password } },
      { token },
    );
    expect(codeOf(nested)).toBe('auth.operators_only');
  });

  test("of another team's people are not there", async () => {
    const { accessToken: token } = await logIn('owner@others.example.org');
    const mine = (await me(server.admin.token)) as WhoAmI;
    const key = await newKey({ role: 'agent' });
    const answers = await Promise.all([
      server.request('DELETE', `/api/users/${mine.id}`, undefined, { token }),
      server.request('DELETE', `/api/keys/${key.id}`, undefined, { token }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
    expect(JSON.stringify((await server.request('GET', '/api/users', undefined, { token })).body)).not.toContain(
      mine.id,
    );
    expect(await me(key.secret)).not.toBeNull();
  });
});

describe('the first start', () => {
  test('makes one administrator, however many servers start', async () => {
    const admin = server.app.get(FirstAdmin);
    expect(admin.takeNotice()).toBeNull();
    await server.database.sql(`update teams set slug = 'default-before' where slug = 'default'`);
    await server.database.sql(`update users set email = 'before@localhost' where email = 'admin@localhost'`);
    await Promise.all([admin.make(), admin.make(), admin.make()]);
    const [count] = await server.database.sql<{ n: number }>(
      `select count(*) as n from users where email = 'admin@localhost'`,
    );
    expect(count?.n).toBe(1);
  });

  test("gives the server's verifier a key that ends with the process", async () => {
    const key = await authenticator.issueSystemKey('verifier');
    const actor = (await authenticator.authenticate(key)) as Actor;
    expect(actor.kind).toBe('system');
    expect(authenticator.allows(actor, 'system.verify', null)).toBe(true);
    expect(authenticator.allows(actor, 'landing.rollback', projectId)).toBe(false);
    expect(await server.database.sql('select id from api_keys where id = $1', [actor.id])).toEqual([]);
    const next = await authenticator.issueSystemKey('verifier');
    expect(await authenticator.authenticate(key)).toBeNull();
    expect(await authenticator.authenticate(next)).not.toBeNull();
  });
});
