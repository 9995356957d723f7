import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { CloudEvent, ForgeSecret, ProjectView, RemoteView, WebhookView } from '@muster/contracts';
import { hangUp, refuse } from '../../../test/support/forge-here.ts';
import { ForgeWorld } from '../test/world.ts';

const recordedPush = (
  createRequire(import.meta.url)('@octokit/webhooks-examples') as Array<{
    name: string;
    examples: Array<Record<string, unknown>>;
  }>
).find(({ name }) => name === 'push')?.examples[1] as { repository: object };

let world: ForgeWorld;
beforeAll(async () => {
  world = await ForgeWorld.begin();
});
afterEach(() => world.forget());
afterAll(() => world.end());

const events = async (project: ProjectView, type: string): Promise<CloudEvent[]> =>
  (await world.must<{ items: CloudEvent[] }>('GET', `/api/events?type=${type}&projectId=${project.id}&limit=50`)).items;
const pushOf = (repository: string, branch: string, after: string): string =>
  JSON.stringify({
    ...recordedPush,
    ref: `refs/heads/${branch}`,
    after,
    deleted: false,
    repository: { ...recordedPush.repository, full_name: repository },
  });

describe('a webhook', () => {
  it('about a push has the remote looked at at once, and the forge is told what becomes of the commit', async () => {
    const { there, project, webhook } = await world.followed('hub', 'octo/repo');
    const next = await world.commit(there, 'b.txt');
    const text = pushOf('Octo/Repo', 'main', next);
    expect(await world.send(webhook, text, await world.signed(webhook, text, 'one'))).toEqual({
      status: 202,
      body: { outcome: 'acted' },
    });
    const remote = await world.until(async () => {
      const { items } = await world.must<{ items: RemoteView[] }>('GET', `/api/projects/${project.id}/remotes`);
      return items.find((one) => one.commit === next);
    });
    expect(remote.submissionId).toMatch(/^sub_/);
    const said = await world.until(async () => (world.forge.said.length >= 2 ? [...world.forge.said] : null));
    expect(
      said
        .map(({ commit: about, context, state }) => ({ about, context, state }))
        .sort((a, b) => (a.context < b.context ? -1 : 1)),
    ).toEqual([
      { about: next, context: 'muster/landing', state: 'pending' },
      { about: next, context: 'muster/verification', state: 'pending' },
    ]);
    expect(said[0]?.target_url).toContain(remote.submissionId);
    expect([...world.forge.tokens]).toEqual(['Bearer token-of-hub']);
    await world.until(async () => (await world.forgeOf(project)).owed === 0);
  });

  it('counts once, also under another name, and what is not a push is recorded and left alone', async () => {
    const { project, webhook } = await world.followed('hub', 'octo/repo');
    const text = pushOf('octo/repo', 'main', 'a'.repeat(40));
    const headers = await world.signed(webhook, text, 'one');
    expect((await world.send(webhook, text, headers)).body).toEqual({ outcome: 'acted' });
    expect((await world.send(webhook, text, headers)).body).toEqual({ outcome: 'repeated' });
    expect((await world.send(webhook, text, { ...headers, 'x-github-delivery': 'two' })).body).toEqual({
      outcome: 'repeated',
    });
    const ping = JSON.stringify({ zen: 'Design for failure.' });
    expect(await world.send(webhook, ping, await world.signed(webhook, ping, 'three', 'ping'))).toEqual({
      status: 202,
      body: { outcome: 'ignored' },
    });
    const elsewhere = pushOf('octo/other', 'main', 'b'.repeat(40));
    expect((await world.send(webhook, elsewhere, await world.signed(webhook, elsewhere, 'four'))).body).toEqual({
      outcome: 'ignored',
    });
    const first = await world.must<{ items: WebhookView[]; nextCursor: string }>(
      'GET',
      `/api/projects/${project.id}/forge/webhooks?limit=2`,
    );
    const rest = await world.must<{ items: WebhookView[]; nextCursor: null }>(
      'GET',
      `/api/projects/${project.id}/forge/webhooks?limit=2&cursor=${encodeURIComponent(first.nextCursor)}`,
    );
    expect([...first.items, ...rest.items].map(({ delivery, event, outcome }) => [delivery, event, outcome])).toEqual([
      ['four', 'push', 'ignored'],
      ['three', 'ping', 'ignored'],
      ['one', 'push', 'acted'],
    ]);
    expect(rest.nextCursor).toBeNull();
    expect(await events(project, 'forge.push_seen')).toHaveLength(1);
  });

  it('that is not signed with the secret of its address is refused with 401, the same for addresses that nobody has', async () => {
    const { project, webhook } = await world.followed('hub', 'octo/repo');
    const text = pushOf('octo/repo', 'main', 'a'.repeat(40));
    const wrong = await world.send(webhook, text, {
      'x-github-event': 'push',
      'x-github-delivery': 'one',
      'x-hub-signature-256': `sha256=${'0'.repeat(64)}`,
    });
    const none = await world.send(
      { ...webhook, webhookUrl: webhook.webhookUrl.replace(/forge_\w+/, 'forge_01jd9x0m4ve2tbk6x3h2v4q8zr') },
      text,
      await world.signed(webhook, text, 'one'),
    );
    const { traceId: _, instance: __, ...said } = wrong.body;
    expect(wrong).toMatchObject({ status: 401, body: { code: 'forges.webhook_refused' } });
    expect(none).toMatchObject({ status: 401, body: said });
    const old = await world.signed(webhook, text, 'one');
    const renewed = await world.must<ForgeSecret>('POST', `/api/projects/${project.id}/forge/secret`);
    expect(await world.send(webhook, text, old)).toMatchObject({ status: 401 });
    expect(await world.send(renewed, text, await world.signed(renewed, text, 'one'))).toMatchObject({ status: 202 });
    const [row] = await world.server.database.sql<{ all: string }>(
      `select string_agg(f::text, ' ') as all from forges f`,
    );
    expect(row?.all).not.toContain(renewed.secret.slice(6, 30));
    expect((await stat(join(world.server.dataDir, 'keys', 'webhooks.key'))).mode & 0o777).toBe(0o600);
  });

  it('that is too large, no JSON or a form is refused in words, and never a 500', async () => {
    const { webhook } = await world.followed('hub', 'octo/repo');
    const large = JSON.stringify({ filler: 'x'.repeat(6 * 1024 * 1024) });
    expect(await world.send(webhook, large, await world.signed(webhook, large, 'one'))).toMatchObject({ status: 413 });
    expect((await world.send(webhook, '{', await world.signed(webhook, '{', 'two'))).status).toBe(400);
    const form = await world.send(webhook, 'payload=%7B%7D', {
      ...(await world.signed(webhook, 'payload=%7B%7D', 'three')),
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect([400, 415]).toContain(form.status);
    const empty = await world.send(webhook, '', await world.signed(webhook, 'nothing', 'four'));
    expect(empty.status).toBe(400);
  });
});

const LIMIT = 'API rate limit exceeded';
describe('a status', () => {
  /** A commit that came from the forge, and whose statuses are wanted. */
  async function reported(account: string, repository: string): Promise<{ project: ProjectView; next: string }> {
    const { there, project } = await world.followed(account, repository);
    const next = await world.commit(there, 'b.txt');
    await world.must('POST', `/api/projects/${project.id}/remotes/from/sync`);
    return { project, next };
  }
  const settled = (project: ProjectView): Promise<boolean> =>
    world.until(async () => {
      const { owed } = await world.forgeOf(project);
      return owed === 0 && world.forge.said.length > 0;
    });

  it('whose answer was lost is not sent twice', async () => {
    world.forge.moods.push(hangUp);
    const { project } = await reported('hub', 'octo/repo');
    await world.until(async () => (await world.forgeOf(project)).problem);
    await world.sayNow();
    await settled(project);
    expect(world.forge.said.map(({ context }) => context).sort()).toEqual(['muster/landing', 'muster/verification']);
    expect(world.forge.asked.filter((one) => one.startsWith('GET'))).toHaveLength(1);
  });

  it('that somebody had begun to send when the server was killed is sent by the next one, and not twice', async () => {
    const { project, next } = await reported('lab', 'group/sub/repo');
    await settled(project);
    const before = world.forge.said.length;
    // As a kill -9 between the answer of the forge and the commit leaves it.
    await world.server.database.sql(
      `update forge_statuses set sent = wanted - 1, claimed_until = muster_now() - interval '1 s', next_action_at = muster_now()`,
    );
    await world.sayNow();
    await settled(project);
    expect(world.forge.said).toHaveLength(before);
    // And between the claim and the request.
    world.forge.said.length = 0;
    await world.server.database.sql(
      `update forge_statuses set sent = wanted - 1, claimed_until = muster_now() - interval '1 s', next_action_at = muster_now()`,
    );
    await world.sayNow();
    await settled(project);
    expect(world.forge.said).toHaveLength(before);
    expect(world.forge.said.every((one) => one.commit === next)).toBe(true);
    expect([...world.forge.tokens]).toEqual(['token-of-lab']);
    expect(world.forge.asked[0]).toBe(`POST /projects/group%2Fsub%2Frepo/statuses/${next}`);
  });

  it.each<[string, number, string, Record<string, string>, [number, number]]>([
    ['for some seconds', 429, LIMIT, { 'retry-after': '30' }, [25, 35]],
    [
      'until a moment',
      403,
      LIMIT,
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 600) },
      [300, 601],
    ],
    ['without saying for how long', 429, LIMIT, {}, [50, 65]],
    ['by words alone', 403, 'You have exceeded a secondary rate limit.', { 'x-ratelimit-remaining': '4000' }, [50, 65]],
    ['for ever', 429, LIMIT, { 'retry-after': '99999999' }, [3500, 3601]],
  ])('waits when the forge asks to be left alone %s', async (_, code, said, headers, [least, most]) => {
    world.forge.moods.push(refuse(code, said, headers));
    const { project } = await reported('hub', 'octo/repo');
    const pause = await world.until(
      async () =>
        (
          await world.server.database.sql<{ account: string; seconds: number }>(
            `select account, extract(epoch from until - muster_now())::float8 as seconds from forge_pauses`,
          )
        )[0],
    );
    expect(pause.account).toBe('hub');
    expect(pause.seconds).toBeGreaterThan(least);
    expect(pause.seconds).toBeLessThan(most);
    const asked = world.forge.asked.length;
    await world.sayNow();
    await world.sayNow();
    expect(world.forge.asked).toHaveLength(asked);
    await world.server.database.sql(`delete from forge_pauses`);
    await world.sayNow();
    await settled(project);
    expect(world.forge.said).toHaveLength(2);
  });

  it('that the forge will not have is given up after ten tries, and told; other words are tried anew', async () => {
    for (let n = 0; n < 60; n++) world.forge.moods.push(refuse(422, 'No commit found for SHA'));
    const { project } = await reported('hub', 'octo/repo');
    const told = await world.until(async () => {
      await world.sayNow();
      const items = await events(project, 'forge.status_refused');
      return items.length === 2 ? items : null;
    });
    expect(told[0]?.data['problem']).toContain('No commit found for SHA');
    expect(world.forge.asked).toHaveLength(20);
    expect(await world.forgeOf(project)).toMatchObject({
      owed: 2,
      problem: expect.stringContaining('422'),
    });
    world.forge.moods.length = 0;
    await world.must('PUT', `/api/projects/${project.id}/forge`, { account: 'hub', repository: 'octo/repo' });
    await settled(project);
  });

  it('is not sent where a redirect, nonsense or a flood would take it', async () => {
    world.forge.moods.push(
      { answer: (response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end() },
      { answer: (response) => void response.writeHead(200).end('<html>') },
      { answer: (response) => void response.writeHead(200).end('x'.repeat(5 * 1024 * 1024)) },
    );
    const { project } = await reported('hub', 'octo/repo');
    await world.until(async () => {
      await world.sayNow();
      return world.forge.moods.length === 0;
    });
    await world.until(async () => {
      await world.sayNow();
      return (await world.forgeOf(project)).owed === 0;
    });
  });
});

it('an account is used only for repositories that the operator listed, and never shown', async () => {
  const { project } = await world.followed('hub', 'octo/repo');
  for (const [account, repository] of [
    ['hub', 'somebody/else'],
    ['none', 'octo/repo'],
    ['lab', 'octo/repo'],
  ])
    expect(
      await world.server.request('PUT', `/api/projects/${project.id}/forge`, { account, repository }),
    ).toMatchObject({
      status: 422,
      body: { code: 'forges.account_unknown' },
    });
  for (const repository of ['octo/../x', 'octo', '/octo/repo', 'octo/re po', '../../octo'])
    expect(
      await world.server.request('PUT', `/api/projects/${project.id}/forge`, { account: 'hub', repository }),
    ).toMatchObject({ status: 400 });
  expect(JSON.stringify(await world.must('GET', `/api/projects/${project.id}/forge`))).not.toContain('token-of');
  await world.must('DELETE', `/api/projects/${project.id}/forge`);
  expect(await world.server.request('GET', `/api/projects/${project.id}/forge`)).toMatchObject({
    status: 404,
    body: { code: 'forges.none' },
  });
});
