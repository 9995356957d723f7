import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Files } from '../../../../test/support/gate-desk.ts';
import { escapedIn, instead as replaced, LockDesk, packagesOf } from '../../../../test/support/lock-desk.ts';
import { escapingArchive } from '../../../../test/support/small-registry.ts';
import { sandboxPaths } from '../sandbox/driver.ts';

const desk = new LockDesk();
const { registry, npmCache, ran } = desk;
const pnpm = join(createRequire(import.meta.url).resolve('pnpm'), '..', 'bin', 'pnpm.cjs');

beforeAll(async () => {
  const script = `touch ${ran}; echo run > ran`;
  await registry.open([
    { manifest: { name: 'outer', version: '1.0.0', dependencies: { inner: '^1.0.0' }, bin: { outer: 'cli.js' }, scripts: { preinstall: script, install: script, postinstall: script } }, files: { 'index.js': "module.exports = `outer on ${require('inner')}`;\n", 'cli.js': "#!/usr/bin/env node\nconsole.log('outer');\n" } },
    { manifest: { name: 'inner', version: '1.0.0' } },
    { manifest: { name: 'inner', version: '1.1.0' } },
    { manifest: { name: 'host', version: '2.0.0' } },
    { manifest: { name: '@s/guest', version: '1.0.0', peerDependencies: { host: '*' } }, files: { 'index.js': "module.exports = `guest of ${require('host')}`;\n" } },
    { manifest: { name: 'elsewhere', version: '1.0.0', os: ['aix'] } },
    { manifest: { name: 'many', version: '1.0.0', optionalDependencies: { elsewhere: '1.0.0' } } },
    { manifest: { name: 'unkept', version: '1.0.0' } },
    { manifest: { name: 'hostile', version: '1.0.0' }, archive: escapingArchive(desk.root, { name: 'hostile', version: '1.0.0' }) },
  ]); // prettier-ignore
  await registry.fill(
    npmCache,
    'outer@1.0.0',
    'inner@1.0.0',
    'inner@1.1.0',
    'host@2.0.0',
    '@s/guest@1.0.0',
    'many@1.0.0',
    'hostile@1.0.0',
  );
}, 60_000);
afterAll(() => desk.clear());

/** The lock that the real tool writes for these files. */
async function locked(files: Files): Promise<Files> {
  const { dir } = desk.tree(files);
  await promisify(execFile)(
    process.execPath,
    [pnpm, 'install', '--lockfile-only', '--ignore-scripts', `--registry=${registry.url}/`, `--store-dir=${join(desk.root, 'store')}`, `--config.cache-dir=${join(desk.root, 'pnpm')}`], // prettier-ignore
    { cwd: dir },
  );
  return { ...files, 'pnpm-lock.yaml': readFileSync(join(dir, 'pnpm-lock.yaml'), 'utf8') };
}
const project = (dependencies: object, more: object = {}): Files => ({
  'package.json': JSON.stringify({ name: 'sample', version: '1.0.0', dependencies, ...more }),
});
const install = desk.install.bind(desk);
/** The lock, or another file, with this in place of that. */
const instead = (files: Files, that: string | RegExp, by: string, path = 'pnpm-lock.yaml'): Files =>
  replaced(files, path, that, by);

describe('packages of pnpm’s lock', () => {
  it('come from the operator’s cache, asking nobody and running nothing, laid out as pnpm does', async () => {
    const files = await locked(project({ outer: '^1.0.0', '@s/guest': '1.0.0', host: '2.0.0', many: '1.0.0' }));
    const before = registry.asked;
    const installed = await install(files);
    expect(installed).toMatchObject({ status: 'installed', reason: 'installed from the lock file' });
    expect(registry.asked).toBe(before);
    const home = packagesOf(installed);
    const require = createRequire(join(home, 'x.js'));
    expect(require('outer')).toBe('outer on inner@1.1.0');
    expect(require('@s/guest')).toBe('guest of host@2.0.0');
    // What outer brings along is outer's.
    expect(installed.has('inner')).toBe(false);
    expect(readdirSync(join(home, '.pnpm')).filter((name) => name.includes('elsewhere'))).toEqual([]);
    expect(existsSync(ran)).toBe(false);
    expect(readdirSync(realpathSync(join(home, 'outer')))).not.toContain('ran');
    expect((await install(files)).digest).toBe(installed.digest);
  }, 120_000);

  it('are there for the tests of a verification, workspaces and programs included', async () => {
    const test = { scripts: { test: 'outer && node --test', postinstall: `touch ${ran}` } };
    const files = await locked({
      ...project({ outer: '1.0.0', part: 'workspace:*' }, test),
      'pnpm-workspace.yaml': 'packages: [parts/*]\n',
      'parts/part/package.json': JSON.stringify({ name: 'part', version: '1.0.0', dependencies: { inner: '1.0.0' } }),
      'parts/part/index.js': "module.exports = `part on ${require('inner')}`;\n",
      'sum.test.js':
        "const { test } = require('node:test');\nconst assert = require('node:assert');\ntest('packages', () => assert.equal(`${require('outer')}, ${require('part')}`, 'outer on inner@1.0.0, part on inner@1.0.0'));\n",
    });
    // Which pnpm the project would have fetched is nothing that is fetched here.
    const facts = await desk.tests(
      instead(files, '"name":"sample"', '"name":"sample","packageManager":"pnpm@9.0.0"', 'package.json'),
      { npmCache },
    );
    expect(facts.checks).toMatchObject([{ check: 'tests', status: 'passed' }]);
    expect(facts.testCases).toMatchObject([{ name: 'packages', status: 'passed' }]);
    expect(existsSync(ran)).toBe(false);
  }, 120_000);

  it('that would write elsewhere write nothing there', async () => {
    const cacheDir = mkdtempSync(join(desk.root, 'cache-'));
    const installed = await install(await locked(project({ hostile: '1.0.0', inner: '1.0.0' })), { cacheDir });
    expect(['installed', 'not_run']).toContain(installed.status);
    expect(escapedIn(cacheDir)).toEqual([]);
    expect(installed.has('../escaped')).toBe(false);
  }, 60_000);

  it('that the cache lacks are named, and the machine is to blame', async () => {
    expect(await install(await locked(project({ unkept: '1.0.0' })))).toMatchObject({
      status: 'not_run',
      blocked: true,
      reason: expect.stringContaining("ENOTCACHED: the operator's npm cache lacks unkept@1.0.0"),
    });
  }, 60_000);

  it('come from the operator’s registry where there is no such cache', async () => {
    const files = await locked(project({ unkept: '1.0.0' }));
    const installed = await install(files, { npmCache: null, cacheDir: mkdtempSync(join(desk.root, 'cache-')) });
    expect(createRequire(join(packagesOf(installed), 'x.js'))('unkept')).toBe('unkept@1.0.0');
  }, 60_000);

  it('are not installed where manifest and lock do not agree, as pnpm itself has it', async () => {
    const files = await locked(project({ outer: '1.0.0' }));
    expect(await install({ ...files, ...project({ outer: '1.0.0', inner: '1.0.0' }) })).toMatchObject({
      status: 'not_run',
      blocked: false,
      reason: expect.stringMatching(
        /pnpm 10[\d.]+ did not install pnpm-lock.yaml as it is: .*ERR_PNPM_OUTDATED_LOCKFILE/,
      ),
    });
  }, 60_000);

  it('that are others than the lock says are not installed, and the machine is not to blame', async () => {
    const files = await locked(project({ inner: '1.1.0' }));
    const other = instead(files, registry.integrity('inner', '1.1.0'), `sha512-${'A'.repeat(86)}==`);
    for (const cache of [npmCache, null])
      expect(await install(other, { npmCache: cache })).toMatchObject({
        status: 'not_run',
        blocked: false,
        reason: expect.stringContaining('EINTEGRITY'),
      });
  }, 120_000);

  it.each<[string, string | RegExp, string, RegExp]>([
    ['has no hash', /resolution: \{integrity: [^}]*\}/, 'resolution: {}', /inner@1.1.0 has no integrity hash/],
    ['has a weak hash', /integrity: [^}]*/, 'integrity: sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=', /no integrity hash/],
    ['comes from an address', /(integrity: [^}]*)\}/, '$1, tarball: https://evil.example/inner/-/inner-1.1.0.tgz}', /evil.example/],
    ['comes from a repository', /resolution: \{[^}]*\}/, 'resolution: {type: git, repo: https://evil.example/x.git, commit: abc}', /evil.example/],
    ['is named like a way out', /^ {2}inner@1.1.0:$/gm, '  ../../inner@1.1.0:', /no name of one/],
    ['is put where there is a way out', /^ {6}inner:$/m, '      ../../inner:', /no name of one/],
    ['is linked to what is outside', /version: 1\.1\.0$/m, 'version: link:../../etc', /outside the project/],
  ])('are refused where one %s', async (_what, that, by, words) => {
    const files = instead(await locked(project({ inner: '1.1.0' })), that, by);
    expect(await install(files)).toMatchObject({ status: 'refused', refused: [expect.stringMatching(words)] });
  }, 60_000); // prettier-ignore

  it.each<[string, string | RegExp, string, RegExp]>([
    ['of an older version', "lockfileVersion: '9.0'", "lockfileVersion: '6.0'", /version 6.0.*renew it with pnpm 9 or 10/],
    ['that cannot be read', /importers:/, 'importers: [', /cannot be read/],
    ['made with a program of the project', /importers:/, 'pnpmfileChecksum: abc\n\nimporters:', /\.pnpmfile\.cjs/],
  ])('are not installed from a lock %s, and it is said what helps', async (_what, that, by, words) => {
    const files = instead(await locked(project({ inner: '1.1.0' })), that, by);
    expect(await install(files)).toMatchObject({ status: 'not_run', reason: expect.stringMatching(words) });
  }, 60_000); // prettier-ignore

  it('are not installed where a workspace lies where a file of ours belongs', async () => {
    const files = await locked({ ...project({ inner: '1.0.0' }), 'pnpm-workspace.yaml': 'packages: [x/*]\n' });
    const hostile = instead(files, 'importers:', 'importers:\n\n  .npmrc: {}\n');
    expect(await install({ ...hostile, '.npmrc/package.json': '{"name":"x"}' })).toMatchObject({ status: 'not_run', reason: expect.stringMatching(/cannot be laid out|did not install/) }); // prettier-ignore
  }, 60_000);

  it('are not installed where there is no sandbox for the tool', async () => {
    expect(await install(await locked(project({ inner: '1.0.0' })), { driver: null })).toMatchObject({
      status: 'not_run',
      blocked: true,
      reason: expect.stringContaining('sandbox'),
    });
  }, 60_000);

  it('run no program that the project has for pnpm', async () => {
    const files = await locked(project({ inner: '1.0.0' }));
    const installed = await install({ ...files, '.pnpmfile.cjs': `require('fs').writeFileSync('${sandboxPaths.work}/ran', '');\n`, '.npmrc': `pnpmfile=${resolve('x.cjs')}\nscript-shell=/bin/false\n` }); // prettier-ignore
    expect(installed).toMatchObject({ status: 'installed' });
    expect(readdirSync(join(packagesOf(installed), '..')).sort()).toEqual(['.npmrc', 'node_modules', 'package.json', 'pnpm-lock.yaml']); // prettier-ignore
  }, 60_000);
});
