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

/** A project of these files, and how changes are handed in to it: each made on its first commit, followed until it has ended. */
async function projectOf(name: string, begin: Record<string, string>) {
  const source = join(folder, name);
  await mkdir(source);
  await git(source, 'init', '--quiet', '-b', 'main');
  await commit(source, begin, 'Begin');
  const project = await client.projects.create({ name, source: { path: source } });
  const remote = `${server.url.replace('://', `://x:${server.admin.token}@`)}${project.gitPath}`;
  const handIn = async (message: string, files: Record<string, string>): Promise<SubmissionView> => {
    const dir = await mkdtemp(join(folder, 'clone-'));
    await git(folder, 'clone', '--quiet', source, dir);
    await commit(dir, files, message);
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
  const landingOf = async ({ landingId }: SubmissionView): Promise<LandingView> =>
    (await server.request('GET', `/api/landings/${landingId}`)).body;
  const landed = async (path: string): Promise<string> => {
    const after = await mkdtemp(join(folder, 'after-'));
    await git(folder, 'clone', '--quiet', remote, after);
    return await git(after, 'show', `HEAD:${path}`);
  };
  return { handIn, landingOf, landed };
}

test('two changes that add to the same lock file both land: npm writes it anew in the sandbox, and the landing says so', async () => {
  const { handIn, landingOf, landed } = await projectOf('parts', {
    'package.json': JSON.stringify(manifest),
    'package-lock.json': lockOf('middle'),
    ...partOf('middle'),
    ...code,
  });
  const adding = (part: string) => ({ 'package-lock.json': lockOf(...['middle', part].sort()), ...partOf(part) });
  expect(await handIn('Add nearly', adding('nearly'))).toMatchObject({ state: 'landed', reasons: [], resolved: [] });
  const second = await handIn('Add next', adding('next'));
  const made = { path: 'package-lock.json', how: 'npm-lock', tool: expect.stringMatching(/^npm \d/) };
  expect(second).toMatchObject({ state: 'landed', reasons: [], resolved: [made] });
  const landing = await landingOf(second);
  expect(landing).toMatchObject({ landedTree: landing.verifiedTree, resolved: [made] });
  expect(JSON.parse(await landed('package-lock.json'))).toEqual(JSON.parse(lockOf('middle', 'nearly', 'next')));
}, 240_000);

test('generated files that two changes made anew are made once more, by the command that has landed and by no other', async () => {
  const generate =
    "import { readdirSync, writeFileSync } from 'node:fs';\n" +
    "writeFileSync('parts.txt', readdirSync('parts').sort().join('\\n') + '\\n');\n";
  const { handIn, landingOf, landed } = await projectOf('made', {
    'package.json': JSON.stringify({ ...manifest, workspaces: undefined }),
    'generate.js': generate,
    'parts/middle.txt': 'middle\n',
    'parts.txt': 'middle.txt\n',
    ...code,
  });
  const adding = (part: string) => ({
    [`parts/${part}.txt`]: `${part}\n`,
    'parts.txt': ['middle.txt', `${part}.txt`].sort().join('\n') + '\n',
  });
  const rules = { 'muster.yaml': 'generated:\n  - { files: [parts.txt], run: node generate.js }\n' };
  expect(await handIn('Add nearly', adding('nearly'))).toMatchObject({ state: 'landed', reasons: [] });
  // Nobody says of their own change what in it is generated.
  expect(await handIn('Add next', { ...adding('next'), ...rules })).toMatchObject({
    state: 'conflicted',
    resolved: [],
  });
  expect(await handIn('Say what is generated', rules)).toMatchObject({ state: 'landed', reasons: [] });
  const third = await handIn('Add next', adding('next'));
  const made = { path: 'parts.txt', how: 'generated', tool: expect.stringMatching(/^node v?\d.*: node generate\.js$/) };
  expect(third).toMatchObject({ state: 'landed', reasons: [], resolved: [made] });
  const landing = await landingOf(third);
  expect(landing).toMatchObject({ landedTree: landing.verifiedTree, resolved: [made] });
  expect(await landed('parts.txt')).toBe('middle.txt\nnearly.txt\nnext.txt');
  // What somebody has written into it by hand is nobody's to lose.
  const byHand = { 'parts/other.txt': 'other\n', 'parts.txt': 'middle.txt\nother.txt # mine\n' };
  const why = /^No tool could settle the conflict: "parts\.txt" of the change is not what the declared commands make/;
  expect(await handIn('Add other', byHand)).toMatchObject({
    state: 'conflicted',
    resolved: [],
    reasons: [expect.stringMatching(why)],
  });
}, 300_000);
