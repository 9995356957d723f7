import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Files } from '../../../../test/support/gate-desk.ts';
import { instead as replaced, LockDesk } from '../../../../test/support/lock-desk.ts';

const desk = new LockDesk();
const { registry, npmCache, ran } = desk;

beforeAll(async () => {
  const script = `touch ${ran}`;
  await registry.open([
    { manifest: { name: 'outer', version: '1.0.0', dependencies: { inner: '^1.0.0' }, bin: { outer: 'cli.js' }, scripts: { preinstall: script, install: script, postinstall: script } }, files: { 'index.js': "module.exports = `outer on ${require('inner')}`;\n", 'cli.js': "#!/usr/bin/env node\nconsole.log('outer');\n" } },
    { manifest: { name: 'inner', version: '1.0.0' } },
    { manifest: { name: 'inner', version: '1.1.0' } },
    { manifest: { name: 'host', version: '2.0.0' } },
    { manifest: { name: '@s/guest', version: '1.0.0', peerDependencies: { host: '*', nobody: '*' }, peerDependenciesMeta: { nobody: { optional: true } } } },
    { manifest: { name: 'elsewhere', version: '1.0.0', os: ['aix'] } },
    { manifest: { name: 'many', version: '1.0.0', optionalDependencies: { elsewhere: '1.0.0' } } },
  ]); // prettier-ignore
  await registry.fill(
    npmCache,
    'outer@1.0.0',
    'inner@1.0.0',
    'inner@1.1.0',
    'host@2.0.0',
    '@s/guest@1.0.0',
    'many@1.0.0',
  );
}, 60_000);
afterAll(() => desk.clear());

/** As bun 1.4.5 wrote it; what differs from one registry to the next stands in braces. */
const written = `{
  "lockfileVersion": 2,
  "configVersion": 1,
  "workspaces": {
    "": {
      "name": "sample",
      "dependencies": {
        "@s/guest": "1.0.0",
        "host": "2.0.0",
        "inner": "1.1.0",
        "many": "1.0.0",
        "outer": "^1.0.0",
      },
    },
    "parts/part": {
      "name": "part",
      "version": "1.0.0",
      "dependencies": {
        "inner": "1.0.0",
      },
    },
  },
  "packages": {
    "@s/guest": ["@s/guest@1.0.0", "{registry}/@s/guest/-/guest-1.0.0.tgz", { "peerDependencies": { "host": "*", "nobody": "*" }, "optionalPeers": ["nobody"] }, "{hash of @s/guest@1.0.0}"],

    "elsewhere": ["elsewhere@1.0.0", "{registry}/elsewhere/-/elsewhere-1.0.0.tgz", { "os": "aix" }, "{hash of elsewhere@1.0.0}"],

    "host": ["host@2.0.0", "{registry}/host/-/host-2.0.0.tgz", {}, "{hash of host@2.0.0}"],

    "inner": ["inner@1.1.0", "{registry}/inner/-/inner-1.1.0.tgz", {}, "{hash of inner@1.1.0}"],

    "many": ["many@1.0.0", "{registry}/many/-/many-1.0.0.tgz", { "optionalDependencies": { "elsewhere": "1.0.0" } }, "{hash of many@1.0.0}"],

    "outer": ["outer@1.0.0", "{registry}/outer/-/outer-1.0.0.tgz", { "dependencies": { "inner": "^1.0.0" }, "bin": { "outer": "cli.js" } }, "{hash of outer@1.0.0}"],

    "part": ["part@workspace:parts/part"],

    "part/inner": ["inner@1.0.0", "{registry}/inner/-/inner-1.0.0.tgz", {}, "{hash of inner@1.0.0}"],
  }
}
`;

const wants = { outer: '^1.0.0', '@s/guest': '1.0.0', host: '2.0.0', many: '1.0.0', inner: '1.1.0' };
const project = (dependencies: object = wants): Files => ({
  'package.json': JSON.stringify({ name: 'sample', version: '1.0.0', private: true, dependencies, workspaces: ['parts/*'], scripts: { test: 'outer && node --test', postinstall: `touch ${ran}` } }), // prettier-ignore
  'parts/part/package.json': JSON.stringify({ name: 'part', version: '1.0.0', dependencies: { inner: '1.0.0' } }),
  'parts/part/index.js': "module.exports = `part on ${require('inner')}`;\n",
  'bun.lock': written
    .replaceAll('{registry}', registry.url)
    .replace(/\{hash of (.+)@(.+)\}/g, (_all, name: string, version: string) => registry.integrity(name, version)),
});
const install = desk.install.bind(desk);
/** The lock, or another file, with this in place of that. */
const instead = (files: Files, that: string | RegExp, by: string, path = 'bun.lock'): Files =>
  replaced(files, path, that, by);

describe('packages of bun’s lock', () => {
  it('come from the operator’s cache, asking nobody and running nothing, each in the place that bun gave it', async () => {
    const before = registry.asked;
    const installed = await install(project());
    expect(installed).toMatchObject({ status: 'installed', reason: 'installed from the lock file' });
    expect(registry.asked).toBe(before);
    const load = createRequire(join(installed.mounts[0]!.from, 'x.js'));
    expect([load('outer'), load('@s/guest'), load('host'), load('many')]).toEqual(['outer on inner@1.1.0', '@s/guest@1.0.0', 'host@2.0.0', 'many@1.0.0']); // prettier-ignore
    expect(installed.has('elsewhere')).toBe(false);
    expect(existsSync(ran)).toBe(false);
  }, 60_000);

  it('are there for the tests of a verification, workspaces and programs included', async () => {
    const files = {
      ...project(),
      'sum.test.js':
        "const { test } = require('node:test');\nconst assert = require('node:assert');\ntest('packages', () => assert.equal(`${require('outer')}, ${require('part')}`, 'outer on inner@1.1.0, part on inner@1.0.0'));\n",
    };
    const facts = await desk.tests(files, { npmRegistry: registry.url, npmCache });
    expect(facts.checks).toMatchObject([{ check: 'tests', status: 'passed' }]);
    expect(facts.testCases).toMatchObject([{ name: 'packages', status: 'passed' }]);
    expect(existsSync(ran)).toBe(false);
  }, 120_000);

  it('may be asked for in words of bun’s own', async () => {
    const files = project({ ...wants, part: 'workspace:*', host: 'catalog:' });
    const asked = instead(files, '"host": "2.0.0",', '"host": "catalog:",\n        "part": "workspace:*",');
    const catalog = instead(asked, '"packages": {', '"catalog": { "host": "2.0.0" },\n  "packages": {');
    expect(await install(catalog)).toMatchObject({ status: 'installed' });
  }, 60_000);

  it('that the cache lacks, or has otherwise, leave nothing installed', async () => {
    const lacking = { npmCache: mkdtempSync(join(desk.root, 'empty-')), cacheDir: mkdtempSync(join(desk.root, 'cache-')) }; // prettier-ignore
    expect(await install(project(), lacking)).toMatchObject({ status: 'not_run', blocked: true, reason: expect.stringContaining('ENOTCACHED') }); // prettier-ignore
    const other = instead(project(), registry.integrity('inner', '1.1.0'), `sha512-${'A'.repeat(86)}==`);
    expect(await install(other)).toMatchObject({ status: 'not_run' });
    expect(await install(other, { ...lacking, npmCache: null })).toMatchObject({ status: 'not_run', blocked: false, reason: expect.stringContaining('EINTEGRITY') }); // prettier-ignore
  }, 60_000);

  it('are not installed where manifest and lock do not agree', async () => {
    expect(await install({ ...project(), ...{ 'package.json': JSON.stringify({ name: 'sample', dependencies: { ...wants, other: '1.0.0' }, workspaces: ['parts/*'] }) } })).toMatchObject({
      status: 'not_run',
      reason: expect.stringMatching(/^bun\.lock does not fit package\.json, which asks for another other; run bun install/),
    });
  }, 60_000); // prettier-ignore

  it.each<[string, string | RegExp, string, RegExp]>([
    ['has no hash', /"host@2.0.0"(.*), "sha512-[^"]+"\]/, '"host@2.0.0"$1]', /host has no integrity hash/],
    ['has a weak hash', /"host@2.0.0"(.*), "sha512-[^"]+"\]/, '"host@2.0.0"$1, "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="]', /no integrity hash/],
    ['comes from an address', /"host@2.0.0", "[^"]*"/, '"host@2.0.0", "https://evil.example/host/-/host-2.0.0.tgz"', /evil\.example/],
    ['comes from a repository', /"host@2.0.0", .*\]/, '"host@github:who/host#abc", {}, "who-host-abc"]', /github:who/],
    ['is named like a way out', /"host": \["host@/, '"../../host": ["host@', /no name of one/],
    ['is named like a way out of the registry', /"host": \["host@/, '"host": ["../../host@', /no name of one/],
    ['is linked to what is outside', 'part@workspace:parts/part', 'part@workspace:../../etc', /no workspace/],
  ])('are refused where one %s', async (_what, that, by, words) => {
    const { status, refused } = await install(instead(project(), that, by));
    expect(status).toBe('refused');
    expect(refused).toContainEqual(expect.stringMatching(words));
  }); // prettier-ignore

  it.each<[string, string | RegExp, string, RegExp]>([
    ['of a later version', '"lockfileVersion": 2', '"lockfileVersion": 3', /versions up to 2/],
    ['that cannot be read', '"packages": {', '"packages": [', /cannot be read/],
    ['with patches', '"packages": {', '"patchedDependencies": { "host@2.0.0": "a.patch" },\n  "packages": {', /patched/],
  ])('are not installed from a lock %s, and it is said what helps', async (_what, that, by, words) => {
    expect(await install(instead(project(), that, by))).toMatchObject({ status: 'not_run', reason: expect.stringMatching(words) });
  }); // prettier-ignore

  it('in a file that only bun reads are not installed, and it is said what helps', async () => {
    const { 'bun.lock': _text, ...files } = project();
    expect(await install({ ...files, 'bun.lockb': 'x' })).toMatchObject({ status: 'not_run', reason: expect.stringContaining('--save-text-lockfile') }); // prettier-ignore
  });
});
