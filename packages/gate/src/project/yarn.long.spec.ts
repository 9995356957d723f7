import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Files } from '../../../../test/support/gate-desk.ts';
import { escapedIn, instead as replaced, LockDesk, packagesOf } from '../../../../test/support/lock-desk.ts';
import { escapingArchive } from '../../../../test/support/small-registry.ts';

const desk = new LockDesk();
const { registry, npmCache, ran } = desk;
const require = createRequire(import.meta.url);

beforeAll(async () => {
  const script = `touch ${ran}; echo run > ran`;
  await registry.open([
    { manifest: { name: 'outer', version: '1.0.0', dependencies: { inner: '^1.0.0' }, bin: { outer: 'cli.js' }, scripts: { preinstall: script, install: script, postinstall: script } }, files: { 'index.js': "module.exports = `outer on ${require('inner')}`;\n", 'cli.js': "#!/usr/bin/env node\nconsole.log('outer');\n" } },
    { manifest: { name: 'inner', version: '1.0.0' } },
    { manifest: { name: 'inner', version: '1.1.0' } },
    { manifest: { name: '@s/guest', version: '1.0.0' } },
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
    '@s/guest@1.0.0',
    'many@1.0.0',
    'hostile@1.0.0',
    'elsewhere@1.0.0',
  );
}, 60_000);
afterAll(() => desk.clear());

const install = desk.install.bind(desk);
/** The lock, or another file, with this in place of that. */
const instead = (files: Files, that: string | RegExp, by: string, path = 'yarn.lock'): Files =>
  replaced(files, path, that, by);

const berrySettings = { '.yarnrc.yml': 'nodeLinker: node-modules\nyarnPath: .yarn/evil.cjs\n' };
const tools = {
  'yarn 1': {
    program: join(require.resolve('yarn/package.json'), '..', 'bin', 'yarn.js'),
    args: ['install', '--ignore-scripts', '--non-interactive'],
    more: {},
  },
  'yarn 4': {
    program: join(require.resolve('@yarnpkg/cli-dist/package.json'), '..', 'bin', 'yarn.js'),
    args: ['install', '--mode=skip-build'],
    more: berrySettings,
  },
} as const;

describe.each(Object.entries(tools))('packages of a lock of %s', (name, { program, args, more }) => {
  const isClassic = name === 'yarn 1';
  const project = (dependencies: object, others: object = {}): Files => ({
    ...more,
    'package.json': JSON.stringify({ name: 'sample', version: '1.0.0', private: true, dependencies, ...others }),
  });
  /** The lock that the real tool writes for these files. */
  const locked = async (files: Files): Promise<Files> => {
    const { dir } = desk.tree(files);
    writeFileSync(join(dir, 'yarn.lock'), '');
    await promisify(execFile)(
      process.execPath,
      [program, ...args, ...(isClassic ? [`--registry=${registry.url}`, `--cache-folder=${join(desk.root, 'store')}`] : [])], // prettier-ignore
      {
        cwd: dir,
        env: { PATH: process.env['PATH']!, HOME: desk.root, YARN_IGNORE_PATH: '1', ...(isClassic ? {} : { YARN_NPM_REGISTRY_SERVER: registry.url, YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1', YARN_ENABLE_GLOBAL_CACHE: '0', YARN_CACHE_FOLDER: join(desk.root, 'berry'), YARN_ENABLE_IMMUTABLE_INSTALLS: '0', YARN_NPM_MINIMAL_AGE_GATE: '0' }) }, // prettier-ignore
      },
    );
    return { ...files, 'yarn.lock': readFileSync(join(dir, 'yarn.lock'), 'utf8') };
  };

  it('come from the operator’s cache, asking nobody and running nothing', async () => {
    const files = await locked(project({ outer: '^1.0.0', '@s/guest': '1.0.0', many: '1.0.0', inner: '1.0.0' }));
    const before = registry.asked;
    const installed = await install(files);
    expect(installed).toMatchObject({ status: 'installed', reason: 'installed from the lock file' });
    expect(registry.asked).toBe(before);
    const load = createRequire(join(packagesOf(installed), 'x.js'));
    expect(load('outer')).toMatch(/^outer on inner@1\.[01]\.0$/);
    expect([load('inner'), load('@s/guest'), load('many')]).toEqual(['inner@1.0.0', '@s/guest@1.0.0', 'many@1.0.0']);
    expect(installed.has('elsewhere')).toBe(false);
    expect(existsSync(ran)).toBe(false);
    expect(existsSync(join(packagesOf(installed), 'outer', 'ran'))).toBe(false);
    expect((await install(files)).digest).toBe(installed.digest);
  }, 120_000);

  it('are there for the tests of a verification, workspaces and programs included', async () => {
    const files = await locked({
      ...project({ outer: '1.0.0' }, { scripts: { test: 'outer && node --test', postinstall: `touch ${ran}` }, workspaces: ['parts/*'] }),
      'parts/part/package.json': JSON.stringify({ name: 'part', version: '1.0.0', dependencies: { inner: '1.0.0' } }),
      'parts/part/index.js': "module.exports = `part on ${require('inner')}`;\n",
      'sum.test.js':
        "const { test } = require('node:test');\nconst assert = require('node:assert');\ntest('packages', () => assert.match(`${require('outer')}, ${require('part')}`, /^outer on inner@1.[01].0, part on inner@1.0.0$/));\n",
    }); // prettier-ignore
    // Which yarn the project would have fetched is nothing that is fetched here.
    const facts = await desk.tests(
      instead(files, '"name":"sample"', '"name":"sample","packageManager":"yarn@3.0.0"', 'package.json'),
      { npmRegistry: registry.url, npmCache },
    );
    expect(facts.checks).toMatchObject([{ check: 'tests', status: 'passed' }]);
    expect(facts.testCases).toMatchObject([{ name: 'packages', status: 'passed' }]);
    expect(existsSync(ran)).toBe(false);
  }, 120_000);

  it('that would write elsewhere write nothing there', async () => {
    const cacheDir = mkdtempSync(join(desk.root, 'cache-'));
    // The tool unpacks what it locks, so it locked another package.
    const named = Object.entries(await locked(project({ inner: '1.0.0' }))).map(([path, text]) => [
      path,
      text.replaceAll('inner', 'hostile').replace(registry.integrity('inner', '1.0.0'), registry.integrity('hostile', '1.0.0')), // prettier-ignore
    ]);
    const installed = await install(Object.fromEntries(named) as Files, { cacheDir });
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

  it('are not installed where manifest and lock do not agree, as yarn itself has it', async () => {
    const files = await locked(project({ outer: '1.0.0' }));
    expect(await install({ ...files, ...project({ outer: '1.0.0', '@s/guest': '1.0.0' }) })).toMatchObject({
      status: 'not_run',
      blocked: false,
      reason: expect.stringMatching(/^yarn [\d.]+ did not install yarn.lock as it is: .*lock ?file/),
    });
  }, 60_000);

  it('that are others than the lock says are not installed, and the machine is not to blame', async () => {
    const files = await locked(project({ inner: '1.1.0' }));
    const other = isClassic
      ? instead(files, registry.integrity('inner', '1.1.0'), `sha512-${'A'.repeat(86)}==`)
      : instead(files, /checksum: 10c0\/\w{5}/, 'checksum: 10c0/00000');
    expect(await install(other)).toMatchObject({
      status: 'not_run',
      blocked: false,
      reason: expect.stringMatching(isClassic ? /EINTEGRITY/ : /YN0018.*checksum/i),
    });
  }, 60_000);

  it.each<[string, string | RegExp, string, string | RegExp, string, RegExp]>([
    ['has no hash', /\n {2}integrity .*/, '', /\n {2}checksum: .*/, '', /inner@.*1.1.0 has no integrity hash/],
    ['has a weak hash', /integrity .*/, 'integrity sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=', /checksum: .*/, 'checksum: 10c0/abcdef', /no integrity hash/],
    ['comes from an address', /resolved .*/, 'resolved "https://evil.example/inner/-/inner-1.1.0.tgz#abc"', /resolution: .*inner@npm.*/, 'resolution: "inner@https://evil.example/inner-1.1.0.tgz"', /evil.example/],
    ['comes from a repository', /resolved .*/, 'resolved "git+ssh://git@evil.example/x.git#abc"', /resolution: .*inner@npm.*/, 'resolution: "inner@https://evil.example/x.git#commit=abc"', /evil.example/],
    ['is named like a way out', /^"?inner@1.1.0"?:$/m, '"../../inner@1.1.0":', /"inner@npm:1.1.0":/, '"../../inner@npm:1.1.0":', /no name of one/],
  ])('are refused where one %s', async (_what, that, by, ofBerry, byOfBerry, words) => {
    const files = await locked(project({ inner: '1.1.0' }));
    const hostile = isClassic ? instead(files, that, by) : instead(files, ofBerry, byOfBerry);
    const { status, refused } = await install(hostile);
    expect(status).toBe('refused');
    expect(refused).toContainEqual(expect.stringMatching(words));
  }, 60_000); // prettier-ignore
});

it('A lock of yarn 1 beside workspaces that take long to look for is not installed from', async () => {
  const files = { 'package.json': JSON.stringify({ name: 'sample', workspaces: ['+(a|a?)+(b|*)/'.repeat(3)] }), 'yarn.lock': '# yarn lockfile v1\n' }; // prettier-ignore
  expect(await install(files)).toMatchObject({ status: 'not_run', reason: expect.stringContaining('patterns of a few stars') }); // prettier-ignore
});

describe('a lock of yarn 4', () => {
  const lock = (cacheKey: string): Files => ({
    'package.json': JSON.stringify({ name: 'sample', dependencies: { inner: '1.0.0' } }),
    'yarn.lock': `__metadata:\n  version: 8\n  cacheKey: ${cacheKey}\n`,
  });

  it.each<[string, Files, RegExp]>([
    ['of a project that plugs its packages in', lock('10c0'), /nodeLinker: pnp; set nodeLinker: node-modules/],
    ['that yarn 3 has written', { ...lock('8'), ...berrySettings }, /renew it with yarn 4/],
    ['with signs that stand for none', { ...lock('10c0'), ...berrySettings, 'yarn.lock': '__metadata:\n  cacheKey: 10c0\n\n"a@patch:a@npm%3A1.0.0#~/%zz.patch":\n  resolution: "a@patch:a@npm%3A1.0.0#~/%zz.patch"\n' }, /yarn\.lock cannot be read/],
    ['that cannot be read', { ...lock('10c0'), 'yarn.lock': '__metadata: [' }, /cannot be read/],
    ['beside settings that cannot be read', { ...lock('10c0'), '.yarnrc.yml': 'a: [' }, /\.yarnrc\.yml cannot be read/],
  ])('%s is not installed from, and it is said what helps', async (_what, files, words) => {
    expect(await install(files)).toMatchObject({ status: 'not_run', reason: expect.stringMatching(words) });
  });
}); // prettier-ignore
