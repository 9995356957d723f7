import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CloudEvent, ForgeSecret, ForgeView, ProjectView, RemoteView, WebhookView } from '@muster/contracts';
import { sign } from '@octokit/webhooks-methods';
import { type TestResponse, type TestServer, startApp } from '#test/app';

const run = promisify(execFile);
const load = createRequire(import.meta.url);
/** As GitHub answered once, with all the fields that it sends. */
const [recordedStatus] = load('@octokit/fixtures/scenarios/api.github.com/create-status/normalized-fixture.json') as [
  { response: object; headers: Record<string, string> },
];
const recordedPush = (
  load('@octokit/webhooks-examples') as Array<{ name: string; examples: Array<Record<string, unknown>> }>
).find(({ name }) => name === 'push')?.examples[1] as { repository: object };

interface Said {
  readonly context: string;
  readonly state: string;
  readonly description: string;
  readonly target_url: string;
}
/** A forge on this machine, over real HTTP: it remembers statuses and answers with what the real ones were recorded to answer. */
class RecordedForge {
  readonly said: Array<Said & { readonly commit: string }> = [];
  readonly asked: string[] = [];
  readonly tokens = new Set<string | undefined>();
  /** What it does instead of answering, once for each entry. */
  readonly moods: Array<(response: ServerResponse) => void> = [];
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const url = request.url ?? '';
    this.asked.push(`${request.method} ${url}`);
    this.tokens.add(request.headers.authorization ?? (request.headers['private-token'] as string | undefined));
    const mood = this.moods.shift();
    const commit = /([0-9a-f]{40})/.exec(url)?.[1] ?? '';
    const isGitlab = url.startsWith('/projects/');
    if (request.method === 'POST') {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Said & { name?: string };
      const said = { ...body, context: body.name ?? body.context, commit };
      if (mood === undefined || mood === hangUp) this.said.unshift(said);
      if (mood !== undefined) return mood(response);
      const { 'content-length': _, connection: __, ...headers } = recordedStatus.headers;
      response.writeHead(201, { ...headers, 'x-ratelimit-remaining': '4999' });
      response.end(JSON.stringify({ ...recordedStatus.response, ...body }));
      return;
    }
    if (mood !== undefined) return mood(response);
    const all = this.said.filter((one) => one.commit === commit);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(
        all.map((one) =>
          isGitlab ? { ...one, name: one.context, status: one.state } : { ...recordedStatus.response, ...one },
        ),
      ),
    );
  }
}
const hangUp = (response: ServerResponse): void => void response.destroy();

let folder: string;
let forge: RecordedForge;
let server: TestServer;
const git = async (dir: string, ...args: string[]): Promise<string> => {
  const who = ['-c', 'user.name=S', '-c', 'user.email=s@example.org', '-c', 'safe.directory=*'];
  return (await run('git', [...who, ...args], { cwd: dir })).stdout.trim();
};
const must = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
  const answer: TestResponse = await server.request(method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
};
async function until<T>(look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (let left = 300; left > 0; left--) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`It did not come about. Asked: ${forge.asked.join(', ')}`);
}
/** What was to be tried later is tried now. */
const hurry = (): Promise<unknown[]> =>
  server.database.sql(`update forge_statuses set next_action_at = muster_now() where next_action_at is not null`);

let number = 0;
/** A project that follows a repository elsewhere, and knows where that is on a forge. */
async function followed(
  account: string,
  repository: string,
): Promise<{ there: string; project: ProjectView; webhook: ForgeSecret }> {
  const there = join(folder, 'allowed', `there-${(number += 1)}`);
  await mkdir(there, { recursive: true });
  await git(there, 'init', '--quiet', '-b', 'main');
  await commit(there, 'a.txt');
  const project = await must<ProjectView>('POST', '/api/projects', { name: `P ${number}`, source: { path: there } });
  await must('PUT', `/api/projects/${project.id}/remotes/from`, { url: `file://${there}` });
  await must('POST', `/api/projects/${project.id}/remotes/from/sync`);
  await must('PUT', `/api/projects/${project.id}/forge`, { account, repository });
  const webhook = await must<ForgeSecret>('POST', `/api/projects/${project.id}/forge/secret`);
  return { there, project, webhook };
}
async function commit(dir: string, file: string): Promise<string> {
  await writeFile(join(dir, file), `${file}\n`);
  await git(dir, 'add', '.');
  await git(dir, 'commit', '--quiet', '-m', file);
  return await git(dir, 'rev-parse', 'HEAD');
}
const pushOf = (repository: string, branch: string, after: string): string =>
  JSON.stringify({
    ...recordedPush,
    ref: `refs/heads/${branch}`,
    after,
    deleted: false,
    repository: { ...recordedPush.repository, full_name: repository },
  });
const send = async ({ webhookUrl }: ForgeSecret, text: string, headers: Record<string, string>) => {
  const response = await fetch(new URL(new URL(webhookUrl).pathname, server.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: text,
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const signed = async (
  webhook: ForgeSecret,
  text: string,
  delivery: string,
  event = 'push',
): Promise<Record<string, string>> => ({
  'x-github-event': event,
  'x-github-delivery': delivery,
  'x-hub-signature-256': await sign(webhook.secret, text),
});

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'muster-forges-')));
});
beforeEach(async () => {
  forge = new RecordedForge();
  const api = await forge.listen();
  const accounts = join(folder, 'forges.yaml');
  await writeFile(
    accounts,
    `accounts:
  hub: { kind: github, api: '${api}', token: token-of-hub, repositories: ['octo/*'] }
  lab: { kind: gitlab, api: '${api}', token: token-of-lab, repositories: ['group/**'] }
`,
  );
  server = await startApp({ env: { MUSTER_FORGES: accounts, MUSTER_IMPORT_PATHS: join(folder, 'allowed') } });
});
afterEach(async () => {
  await server?.close();
  await forge?.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a webhook', () => {
  it('about a push has the remote looked at at once, and the forge is told what becomes of the commit', async () => {
    const { there, project, webhook } = await followed('hub', 'octo/repo');
    const next = await commit(there, 'b.txt');
    const text = pushOf('Octo/Repo', 'main', next);
    expect(await send(webhook, text, await signed(webhook, text, 'one'))).toEqual({
      status: 202,
      body: { outcome: 'acted' },
    });
    const remote = await until(async () => {
      const { items } = await must<{ items: RemoteView[] }>('GET', `/api/projects/${project.id}/remotes`);
      return items.find((one) => one.commit === next);
    });
    expect(remote.submissionId).toMatch(/^sub_/);
    const said = await until(async () => (forge.said.length >= 2 ? [...forge.said] : null));
    expect(
      said
        .map(({ commit: about, context, state }) => ({ about, context, state }))
        .sort((a, b) => (a.context < b.context ? -1 : 1)),
    ).toEqual([
      { about: next, context: 'muster/landing', state: 'pending' },
      { about: next, context: 'muster/verification', state: 'pending' },
    ]);
    expect(said[0]?.target_url).toContain(remote.submissionId);
    expect([...forge.tokens]).toEqual(['Bearer token-of-hub']);
    await until(async () => (await must<ForgeView>('GET', `/api/projects/${project.id}/forge`)).owed === 0);
  });

  it('counts once, also under another name, and what is not a push is recorded and left alone', async () => {
    const { project, webhook } = await followed('hub', 'octo/repo');
    const text = pushOf('octo/repo', 'main', 'a'.repeat(40));
    const headers = await signed(webhook, text, 'one');
    expect((await send(webhook, text, headers)).body).toEqual({ outcome: 'acted' });
    expect((await send(webhook, text, headers)).body).toEqual({ outcome: 'repeated' });
    expect((await send(webhook, text, { ...headers, 'x-github-delivery': 'two' })).body).toEqual({
      outcome: 'repeated',
    });
    const ping = JSON.stringify({ zen: 'Design for failure.' });
    expect(await send(webhook, ping, await signed(webhook, ping, 'three', 'ping'))).toEqual({
      status: 202,
      body: { outcome: 'ignored' },
    });
    const elsewhere = pushOf('octo/other', 'main', 'b'.repeat(40));
    expect((await send(webhook, elsewhere, await signed(webhook, elsewhere, 'four'))).body).toEqual({
      outcome: 'ignored',
    });
    const first = await must<{ items: WebhookView[]; nextCursor: string }>(
      'GET',
      `/api/projects/${project.id}/forge/webhooks?limit=2`,
    );
    const rest = await must<{ items: WebhookView[]; nextCursor: null }>(
      'GET',
      `/api/projects/${project.id}/forge/webhooks?limit=2&cursor=${encodeURIComponent(first.nextCursor)}`,
    );
    expect([...first.items, ...rest.items].map(({ delivery, event, outcome }) => [delivery, event, outcome])).toEqual([
      ['four', 'push', 'ignored'],
      ['three', 'ping', 'ignored'],
      ['one', 'push', 'acted'],
    ]);
    expect(rest.nextCursor).toBeNull();
    const { items } = await must<{ items: CloudEvent[] }>('GET', `/api/events?type=forge.push_seen&limit=50`);
    expect(items).toHaveLength(1);
  });

  it('that is not signed with the secret of its address is refused with 401, the same for addresses that nobody has', async () => {
    const { project, webhook } = await followed('hub', 'octo/repo');
    const text = pushOf('octo/repo', 'main', 'a'.repeat(40));
    const wrong = await send(webhook, text, {
      'x-github-event': 'push',
      'x-github-delivery': 'one',
      'x-hub-signature-256': `sha256=${'0'.repeat(64)}`,
    });
    const none = await send(
      { ...webhook, webhookUrl: webhook.webhookUrl.replace(/forge_\w+/, 'forge_01jd9x0m4ve2tbk6x3h2v4q8zr') },
      text,
      await signed(webhook, text, 'one'),
    );
    const { traceId: _, instance: __, ...said } = wrong.body;
    expect(wrong).toMatchObject({ status: 401, body: { code: 'forges.webhook_refused' } });
    expect(none).toMatchObject({ status: 401, body: said });
    const old = await signed(webhook, text, 'one');
    const renewed = await must<ForgeSecret>('POST', `/api/projects/${project.id}/forge/secret`);
    expect(await send(webhook, text, old)).toMatchObject({ status: 401 });
    expect(await send(renewed, text, await signed(renewed, text, 'one'))).toMatchObject({ status: 202 });
    const [row] = await server.database.sql<{ all: string }>(`select string_agg(f::text, ' ') as all from forges f`);
    expect(row?.all).not.toContain(renewed.secret.slice(6, 30));
    expect((await stat(join(server.dataDir, 'keys', 'webhooks.key'))).mode & 0o777).toBe(0o600);
  });

  it('that is too large, no JSON or a form is refused in words, and never a 500', async () => {
    const { webhook } = await followed('hub', 'octo/repo');
    const large = JSON.stringify({ filler: 'x'.repeat(6 * 1024 * 1024) });
    expect(await send(webhook, large, await signed(webhook, large, 'one'))).toMatchObject({ status: 413 });
    expect((await send(webhook, '{', await signed(webhook, '{', 'two'))).status).toBe(400);
    const form = await send(webhook, 'payload=%7B%7D', {
      ...(await signed(webhook, 'payload=%7B%7D', 'three')),
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect([400, 415]).toContain(form.status);
    const empty = await send(webhook, '', await signed(webhook, 'nothing', 'four'));
    expect(empty.status).toBe(400);
  });
});

describe('a status', () => {
  /** A commit that came from the forge, and whose statuses are wanted. */
  async function reported(account: string, repository: string): Promise<{ project: ProjectView; next: string }> {
    const { there, project } = await followed(account, repository);
    const next = await commit(there, 'b.txt');
    await must('POST', `/api/projects/${project.id}/remotes/from/sync`);
    return { project, next };
  }
  const settled = (project: ProjectView): Promise<true> =>
    until(async () => {
      const { owed } = await must<ForgeView>('GET', `/api/projects/${project.id}/forge`);
      return owed === 0 && forge.said.length > 0;
    });

  it('whose answer was lost is not sent twice', async () => {
    forge.moods.push(hangUp);
    const { project } = await reported('hub', 'octo/repo');
    await until(async () => (await must<ForgeView>('GET', `/api/projects/${project.id}/forge`)).problem);
    await hurry();
    await settled(project);
    expect(forge.said.map(({ context }) => context).sort()).toEqual(['muster/landing', 'muster/verification']);
    expect(forge.asked.filter((one) => one.startsWith('GET'))).toHaveLength(1);
  });

  it('that somebody had begun to send when the server was killed is sent by the next one, and not twice', async () => {
    const { project, next } = await reported('lab', 'group/sub/repo');
    await settled(project);
    const before = forge.said.length;
    // As a kill -9 between the answer of the forge and the commit leaves it.
    await server.database.sql(
      `update forge_statuses set sent = wanted - 1, claimed_until = muster_now() - interval '1 s', next_action_at = muster_now()`,
    );
    await settled(project);
    expect(forge.said).toHaveLength(before);
    // And between the claim and the request.
    forge.said.length = 0;
    await server.database.sql(
      `update forge_statuses set sent = wanted - 1, claimed_until = muster_now() - interval '1 s', next_action_at = muster_now()`,
    );
    await settled(project);
    expect(forge.said).toHaveLength(before);
    expect(forge.said.every((one) => one.commit === next)).toBe(true);
    expect([...forge.tokens]).toEqual(['token-of-lab']);
    expect(forge.asked[0]).toBe(`POST /projects/group%2Fsub%2Frepo/statuses/${next}`);
  });

  it.each([
    ['for some seconds', 429, { 'retry-after': '30' }, [25, 35]],
    [
      'until a moment',
      403,
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 600) },
      [300, 601],
    ],
    ['without saying for how long', 429, {}, [50, 65]],
    ['for ever', 429, { 'retry-after': '99999999' }, [3500, 3601]],
  ])('waits when the forge asks to be left alone %s', async (_, code, headers, [least, most]) => {
    forge.moods.push((response) => response.writeHead(code, headers).end('{"message":"API rate limit exceeded"}'));
    const { project } = await reported('hub', 'octo/repo');
    const pause = await until(
      async () =>
        (
          await server.database.sql<{ account: string; seconds: number }>(
            `select account, extract(epoch from until - muster_now())::float8 as seconds from forge_pauses`,
          )
        )[0],
    );
    expect(pause.account).toBe('hub');
    expect(pause.seconds).toBeGreaterThan(least as number);
    expect(pause.seconds).toBeLessThan(most as number);
    const asked = forge.asked.length;
    await hurry();
    await new Promise((wake) => setTimeout(wake, 3000));
    expect(forge.asked).toHaveLength(asked);
    await server.database.sql(`delete from forge_pauses`);
    await settled(project);
    expect(forge.said).toHaveLength(2);
  });

  it('that the forge will not have is given up after ten tries, and told; other words are tried anew', async () => {
    for (let n = 0; n < 60; n++)
      forge.moods.push((response) => response.writeHead(422).end('{"message":"No commit found for SHA"}'));
    const { project } = await reported('hub', 'octo/repo');
    const told = await until(async () => {
      await hurry();
      const { items } = await must<{ items: CloudEvent[] }>('GET', `/api/events?type=forge.status_refused&limit=50`);
      return items.length === 2 ? items : null;
    });
    expect(told[0]?.data['problem']).toContain('No commit found for SHA');
    expect(forge.asked).toHaveLength(20);
    expect(await must<ForgeView>('GET', `/api/projects/${project.id}/forge`)).toMatchObject({
      owed: 2,
      problem: expect.stringContaining('422'),
    });
    forge.moods.length = 0;
    await must('PUT', `/api/projects/${project.id}/forge`, { account: 'hub', repository: 'octo/repo' });
    await settled(project);
  });

  it('is not sent where a redirect, nonsense or a flood would take it', async () => {
    forge.moods.push(
      (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      (response) => response.writeHead(200).end('<html>'),
      (response) => response.writeHead(200).end('x'.repeat(5 * 1024 * 1024)),
    );
    const { project } = await reported('hub', 'octo/repo');
    await until(async () => {
      await hurry();
      return forge.moods.length === 0;
    });
    await until(async () => {
      await hurry();
      return (await must<ForgeView>('GET', `/api/projects/${project.id}/forge`)).owed === 0;
    });
  });
});

it('an account is used only for repositories that the operator listed, and never shown', async () => {
  const { project } = await followed('hub', 'octo/repo');
  for (const [account, repository] of [
    ['hub', 'somebody/else'],
    ['none', 'octo/repo'],
    ['lab', 'octo/repo'],
  ])
    expect(await server.request('PUT', `/api/projects/${project.id}/forge`, { account, repository })).toMatchObject({
      status: 422,
      body: { code: 'forges.account_unknown' },
    });
  for (const repository of ['octo/../x', 'octo', '/octo/repo', 'octo/re po', '../../octo'])
    expect(
      await server.request('PUT', `/api/projects/${project.id}/forge`, { account: 'hub', repository }),
    ).toMatchObject({ status: 400 });
  expect(JSON.stringify(await must('GET', `/api/projects/${project.id}/forge`))).not.toContain('token-of');
  await must('DELETE', `/api/projects/${project.id}/forge`);
  expect(await server.request('GET', `/api/projects/${project.id}/forge`)).toMatchObject({
    status: 404,
    body: { code: 'forges.none' },
  });
});
