import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type CloudEvent, keptLogCharacters, type ProjectView, type VerificationView } from '@muster/contracts';
import { MusterClient } from '@muster/sdk';
import { CommandBus } from '@nestjs/cqrs';
import { RequestVerification } from '#messages/quality';
import { Repositories } from '#platform/git';
import { startApp, type TestServer } from '#test/app';
import { startVerifier } from '#test/verifier-at-work';
import { main } from '../../apps/cli/src/program.ts';

/** More than what is kept line by line, so that the whole has to be an artefact. */
const chatter = Math.ceil((keptLogCharacters * 1.5) / 100);
const files = {
  'package.json': JSON.stringify({
    name: 'chatty',
    version: '1.0.0',
    type: 'module',
    scripts: { test: 'node --test' },
  }),
  'package-lock.json': JSON.stringify({
    name: 'chatty',
    version: '1.0.0',
    lockfileVersion: 3,
    requires: true,
    packages: { '': { name: 'chatty', version: '1.0.0' } },
  }),
  'src/sum.js': 'export function sum(a, b) {\n  return a + b;\n}\n',
  'test/sum.test.js': `import test from 'node:test';
import assert from 'node:assert/strict';
import { sum } from '../src/sum.js';
test('adds', () => {
  for (let n = 0; n < ${chatter}; n++) console.log(String(n).padStart(99, '.'));
  assert.equal(sum(1, 2), 3);
});
`,
};

let folder: string;
let first: string;
let server: TestServer;
let client: MusterClient;
let project: ProjectView;
let stop: () => Promise<void>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-watching-'));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=S', '-c', 'user.email=s@example.org', ...args], { cwd: folder });
  git('init', '--quiet', '-b', 'main');
  git('add', '.');
  git('commit', '--quiet', '-m', 'Begin');
  first = git('rev-parse', 'HEAD').toString().trim();
  await writeFile(join(folder, 'src/twice.js'), 'export function twice(a) {\n  return a * 2;\n}\n');
  await writeFile(
    join(folder, 'test/twice.test.js'),
    "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { twice } from '../src/twice.js';\n" +
      "test('doubles', () => {\n  assert.equal(twice(4), 8);\n});\n",
  );
  git('add', '.');
  git('commit', '--quiet', '-m', 'Double');
  server = await startApp({ env: { MUSTER_IMPORT_PATHS: folder } });
  client = new MusterClient({ url: server.url, token: server.admin.token });
  project = await client.projects.create({ name: 'Chatty', source: { path: folder } });
  stop = await startVerifier(server);
}, 60_000);
afterAll(async () => {
  await stop?.();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});
afterEach(() => {
  jest.restoreAllMocks();
  process.exitCode = 0;
});

const muster = async (...args: string[]): Promise<string> => {
  let out = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true));
  expect(await main([...args, '--url', server.url, '--token', server.admin.token])).toBe(0);
  return out;
};

describe('a verification', () => {
  let asked: VerificationView;
  const events: CloudEvent[] = [];

  test('is watched while it runs: its logs, each check as it ends, and what began and ended', async () => {
    const listening = new AbortController();
    let subscribed: () => void = () => undefined;
    const ready = new Promise<void>((resolve) => (subscribed = resolve));
    const hearing = (async () => {
      const types = ['verification.*', 'check.*'];
      for await (const event of client.events.subscribe({
        types,
        signal: listening.signal,
        onSubscribed: subscribed,
      })) {
        events.push(event);
        if (event.type === 'verification.finished') return;
      }
    })();
    await ready;
    const repositories = server.app.get(Repositories);
    const head = project.head ?? '';
    asked = await server.app.get(CommandBus).execute(
      new RequestVerification({
        teamId: project.teamId,
        projectId: project.id,
        purpose: 'admission',
        subjectId: null,
        candidateTree: await repositories.treeOf(project.id, head),
        baseTree: await repositories.treeOf(project.id, first),
        restoresTree: null,
        rulesCommit: head,
        approvedBy: null,
      }),
    );
    let text = '';
    for await (const item of client.verifications.followLog(asked.id, { check: 'tests' })) text += item.text;
    await hearing;
    listening.abort();

    expect(text).toMatch(/^\$ .*node --test/m);
    expect(text).toContain(`${'0'.padStart(99, '.')}\n${'1'.padStart(99, '.')}\n`);
    expect(text).toHaveLength(keptLogCharacters);
    const types = events.map(({ type }) => type);
    expect(types.slice(0, 2)).toEqual(['verification.requested', 'verification.started']);
    expect(types.filter((type) => type === 'verification.logged').length).toBeGreaterThan(0);
    const done = await client.verifications.get(asked.id);
    const ended = events.filter(({ type }) => type === 'check.finished').map(({ data }) => data['check']);
    expect(ended.sort()).toEqual(done.facts?.checks.map(({ check }) => check).sort());
    // One was told before the last had printed anything.
    expect(types.indexOf('check.finished')).toBeLessThan(types.lastIndexOf('verification.logged'));
  }, 120_000);

  test('keeps afterwards what checks printed and left, the long log as a whole', async () => {
    const { items, finished } = await client.verifications.checks(asked.id);
    expect(finished).toBe(true);
    expect(items.find(({ check }) => check === 'tests')).toMatchObject({
      state: 'ended',
      status: 'passed',
      logCharacters: keptLogCharacters,
      wholeLog: 'log-tests.txt',
    });
    const artefacts = await client.verifications.artefacts(asked.id);
    expect(artefacts.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['findings.sarif', 'log-tests.txt', 'sbom.cdx.json', 'tests.junit.xml']),
    );
    const whole = await client.verifications.artefact(asked.id, 'log-tests.txt');
    expect(whole).toContain(`${String(chatter - 1).padStart(99, '.')}\n`);
    expect(artefacts.find(({ name }) => name === 'log-tests.txt')?.size).toBe(Buffer.byteLength(whole));
    expect(JSON.parse(await client.verifications.artefact(asked.id, 'findings.sarif'))).toMatchObject({
      version: '2.1.0',
    });
    const tail = await client.verifications.log(asked.id, { check: 'tests', tail: 1 });
    expect(tail.items).toHaveLength(1);
    await expect(client.verifications.artefact(asked.id, 'nothing.txt')).rejects.toMatchObject({
      code: 'quality.artefact_unknown',
    });
  });

  test('is shown by the command line', async () => {
    const log = await muster('verification', 'logs', asked.id, '--check', 'tests');
    expect(log).toContain(`${'7'.padStart(99, '.')}\n`);
    expect(log).toContain(`muster verification artefacts ${asked.id} log-tests.txt`);
    expect(await muster('verification', 'logs', asked.id, '--follow')).toContain('tests │');
    expect(await muster('verification', 'show', asked.id)).toMatch(/tests.*passed/);
    expect(await muster('verification', 'list', project.slug)).toContain(asked.id);
    expect(await muster('verification', 'artefacts', asked.id)).toContain('tests.junit.xml');
    const into = join(folder, 'junit.xml');
    await muster('verification', 'artefacts', asked.id, 'tests.junit.xml', '--output', into);
    expect(await readFile(into, 'utf8')).toContain('testcase name="adds"');
  });
});
