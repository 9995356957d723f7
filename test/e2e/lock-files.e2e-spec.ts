import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { LandingView, SubmissionView } from '@muster/contracts';
import { MusterClient } from '@muster/sdk';
import { startApp, type TestServer } from '#test/app';
import { startVerifier } from '#test/verifier-at-work';

const manifest = {
  name: 'parts',
  version: '1.0.0',
  private: true,
  type: 'module',
  workspaces: ['packages/*'],
  scripts: { test: 'node --test' },
};
const code = {
  'src/sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js':
    "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { sum } from '../src/sum.js';\n" +
    "test('adds', () => assert.equal(sum(1, 2), 3));\n",
};
/** As npm writes it for these workspaces: two of them side by side are one conflict. */
const lockOf = (...parts: string[]): string =>
  `${JSON.stringify(
    {
      name: 'parts',
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { name: 'parts', version: '1.0.0', workspaces: ['packages/*'] },
        ...Object.fromEntries(
          parts.map((part) => [`node_modules/${part}`, { resolved: `packages/${part}`, link: true }]),
        ),
        ...Object.fromEntries(parts.map((part) => [`packages/${part}`, { version: '1.0.0' }])),
      },
    },
    null,
    2,
  )}\n`;
const partOf = (part: string) => ({
  [`packages/${part}/package.json`]: `${JSON.stringify({ name: part, version: '1.0.0' }, null, 2)}\n`,
});

let folder: string;
let server: TestServer;
let client: MusterClient;
let stop: (() => Promise<void>) | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-locks-'));
  server = await startApp({ env: { MUSTER_IMPORT_PATHS: folder } });
  client = new MusterClient({ url: server.url, token: server.admin.token });
  stop = await startVerifier(server);
}, 60_000);
afterAll(async () => {
  await stop?.();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const git = async (dir: string, ...args: string[]): Promise<string> => {
  const who = ['-c', 'user.name=S', '-c', 'user.email=s@example.org'];
  return (await promisify(execFile)('git', [...who, ...args], { cwd: dir })).stdout.trim();
};
async function commit(dir: string, files: Record<string, string>, message: string): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  }
  await git(dir, 'add', '.');
  await git(dir, 'commit', '--quiet', '-m', message);
}

test('two changes that add to the same lock file both land: npm writes it anew in the sandbox, and the landing says so', async () => {
  const source = join(folder, 'source');
  await mkdir(source);
  await git(source, 'init', '--quiet', '-b', 'main');
  const begin = {
    'package.json': JSON.stringify(manifest),
    'package-lock.json': lockOf('middle'),
    ...partOf('middle'),
    ...code,
  };
  await commit(source, begin, 'Begin');
  const project = await client.projects.create({ name: 'Parts', source: { path: source } });
  const remote = `${server.url.replace('://', `://x:${server.admin.token}@`)}${project.gitPath}`;
  const handIn = async (part: string): Promise<SubmissionView> => {
    const dir = join(folder, part);
    await git(folder, 'clone', '--quiet', source, dir);
    await commit(dir, { 'package-lock.json': lockOf(...['middle', part].sort()), ...partOf(part) }, `Add ${part}`);
    await git(dir, 'push', '--quiet', remote, 'HEAD:refs/for/main');
    const { body } = await server.request('GET', `/api/submissions?projectId=${project.id}&limit=1`);
    let view = (body as { items: SubmissionView[] }).items[0] as SubmissionView;
    for (
      let tries = 0;
      tries < 450 && !['landed', 'rejected', 'conflicted', 'failed'].includes(view.state);
      tries += 1
    ) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      view = (await server.request('GET', `/api/submissions/${view.id}`)).body;
    }
    return view;
  };
  expect(await handIn('nearly')).toMatchObject({ state: 'landed', reasons: [], resolved: [] });
  const second = await handIn('next');
  const made = { path: 'package-lock.json', how: 'npm-lock', tool: expect.stringMatching(/^npm \d/) };
  expect(second).toMatchObject({ state: 'landed', reasons: [], resolved: [made] });
  const landing = (await server.request('GET', `/api/landings/${second.landingId}`)).body as LandingView;
  expect(landing).toMatchObject({ landedTree: landing.verifiedTree, resolved: [made] });
  const after = join(folder, 'after');
  await git(folder, 'clone', '--quiet', remote, after);
  expect(JSON.parse(await git(after, 'show', 'HEAD:package-lock.json'))).toEqual(
    JSON.parse(lockOf('middle', 'nearly', 'next')),
  );
}, 240_000);
