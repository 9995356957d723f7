import { execFileSync } from 'node:child_process';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ForgeRequest, ForgeView, ProjectView, RemoteView } from '@muster/contracts';
import { MusterApiError, MusterClient } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';
import { main } from '../../apps/cli/src/program.ts';
import { ForgeHere } from '../support/forge-here.ts';

let folder: string;
let forge: ForgeHere;
let server: TestServer;
let client: MusterClient;
let project: ProjectView;
let there: string;
let kept: string | undefined;
const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=S', '-c', 'user.email=s@example.org', ...args], {
    cwd: there,
    encoding: 'utf8',
  }).trim();

/** As typed: what it printed, and its exit code. */
async function muster(...args: string[]): Promise<{ code: number; out: string }> {
  let out = '';
  const write = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const complain = jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  try {
    const code = await main(['--url', server.url, '--token', server.admin.token, ...args]);
    return { code, out: stripVTControlCharacters(out) };
  } finally {
    write.mockRestore();
    complain.mockRestore();
  }
}
async function json<T>(...args: string[]): Promise<T> {
  const { code, out } = await muster(...args, '--json');
  if (code !== 0) throw new Error(`muster ${args.join(' ')}: ${code} ${out}`);
  return JSON.parse(out) as T;
}
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let left = 500; left > 0; left--) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  throw new Error(`It did not come about. Asked: ${forge.asked.join(', ')}`);
}

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'muster-by-hand-')));
  there = folder;
  git('init', '--quiet', '-b', 'main', 'there');
  there = join(folder, 'there');
  git('commit', '--quiet', '--allow-empty', '-m', 'Begin');
  forge = new ForgeHere();
  const accounts = join(folder, 'forges.yaml');
  await writeFile(
    accounts,
    `accounts:\n  hub: { kind: github, api: '${await forge.listen()}', token: a-token, repositories: ['octo/*'] }\n`,
  );
  server = await startApp({ env: { MUSTER_IMPORT_PATHS: folder, MUSTER_FORGES: accounts } });
  client = new MusterClient({ url: server.url, token: server.admin.token });
  project = await client.projects.create({ name: 'By hand', source: { path: there } });
  kept = process.env['XDG_CONFIG_HOME'];
  process.env['XDG_CONFIG_HOME'] = folder;
});
afterAll(async () => {
  if (kept === undefined) delete process.env['XDG_CONFIG_HOME'];
  else process.env['XDG_CONFIG_HOME'] = kept;
  await server?.close();
  await forge?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('remotes', () => {
  it('are set, looked at, listed and taken away with the command line as with the SDK', async () => {
    const url = `file://${there}`;
    expect(await json<RemoteView>('remote', 'set', project.slug, 'from', url)).toMatchObject({ url, state: 'new' });
    expect(await client.remotes.set(project.id, 'to', { url, branch: 'mirror' })).toMatchObject({ branch: 'mirror' });
    expect(await json<RemoteView>('remote', 'sync', project.slug, 'from')).toMatchObject({ state: 'in_step' });
    expect(await client.remotes.sync(project.id, 'to')).toMatchObject({ state: 'in_step', commit: project.head });
    expect(git('rev-parse', 'mirror')).toBe(project.head);
    const listed = await client.remotes.list(project.id);
    expect(listed.items.map(({ direction }) => direction)).toEqual(['from', 'to']);
    expect(await json('remote', 'list', project.slug)).toEqual(listed);
    expect((await muster('remote', 'list', project.slug)).out).toMatch(/to .*mirror/);
    expect(await muster('remote', 'set', project.slug, 'sideways', url)).toMatchObject({
      code: 64,
      out: expect.stringContaining('"from"'),
    });
    expect(await muster('remote', 'set', project.slug, 'from', 'ext::sh')).toMatchObject({ code: 1 });
    await client.remotes.remove(project.id, 'to');
    expect(await json('remote', 'list', project.slug)).toMatchObject({ items: [{ direction: 'from' }] });
  });
});

describe('forges', () => {
  it('are set with a policy, shown, given a secret and taken away with the command line as with the SDK', async () => {
    expect((await muster('forge', 'show', project.slug)).out).toContain('The project is on no forge');
    const words = ['--account', 'hub', '--repository', 'octo/repo', '--requests-from', 'writers', '--author', 'eve'];
    const set = await json<ForgeView>('forge', 'set', project.slug, ...words, '--author', 'mallory', '--forks');
    expect(set.requests).toEqual({
      from: 'writers',
      authors: ['eve', 'mallory'],
      forks: true,
      drafts: false,
      out: false,
    });
    expect(await client.forge.get(project.id)).toEqual(set);
    expect((await muster('forge', 'show', project.slug)).out).toMatch(/requests from\s+writers/);
    expect(
      await muster('forge', 'set', project.slug, ...words.slice(0, 4), '--requests-from', 'friends'),
    ).toMatchObject({
      code: 64,
      out: expect.stringContaining('nobody, writers'),
    });
    const first = await json<{ webhookUrl: string; secret: string }>('forge', 'secret', project.slug);
    expect(await client.forge.renewSecret(project.id)).not.toEqual(first);
    expect((await muster('forge', 'secret', project.slug)).out).toMatch(/whsec_/);
    expect(await client.forge.webhooks(project.id)).toEqual({ items: [], nextCursor: null });
    expect(await json('forge', 'webhooks', project.slug)).toEqual({ items: [], nextCursor: null });
    const wrong = client.forge.set(project.id, { account: 'hub', repository: 'somebody/else' });
    await expect(wrong).rejects.toMatchObject({ code: 'forges.account_unknown' });
    await expect(wrong).rejects.toBeInstanceOf(MusterApiError);
  });

  it('show each request with what became of it, and look at one when they are asked to', async () => {
    git('checkout', '--quiet', '--detach');
    git('commit', '--quiet', '--allow-empty', '-m', 'Nothing');
    const head = git('rev-parse', 'HEAD');
    git('update-ref', 'refs/pull/1/head', head);
    forge.open({ repository: 'octo/repo', head, author: 'eve', draft: true });
    const policy = { from: 'writers' as const, authors: ['eve'] };
    await client.forge.set(project.id, { account: 'hub', repository: 'octo/repo', requests: policy });
    await server.database.sql(
      `insert into forge_requests (id, forge_id, project_id, team_id, number)
       select 'freq_01jd9x0m4ve2tbk6x3h2v4q8zr', id, project_id, team_id, 1 from forges`,
    );
    const skipped = await until(async () => {
      const { items } = await client.forge.requests(project.id, { state: 'skipped' });
      return items[0];
    });
    expect(skipped).toMatchObject({ number: 1, author: 'eve', why: expect.stringContaining('draft') });
    expect((await muster('forge', 'requests', project.slug)).out).toMatch(/eve.*skipped.*draft/s);
    expect(await json('forge', 'requests', project.slug, '--state', 'open')).toMatchObject({ items: [] });
    expect(await muster('forge', 'requests', project.slug, '--state', 'lost')).toMatchObject({ code: 64 });
    forge.requests.splice(0, 1);
    expect(await json<ForgeRequest>('forge', 'look', project.slug, skipped.id)).toMatchObject({ id: skipped.id });
    await until(async () => (await client.forge.requests(project.id, { state: 'closed' })).items[0]);
    await client.forge.look(project.id, skipped.id);
    expect(await json('forge', 'remove', project.slug)).toEqual({ ok: true });
    await expect(client.forge.get(project.id)).rejects.toMatchObject({ code: 'forges.none' });
  });
});
