import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Files } from '../../../../test/support/gate-desk.ts';
import { LockDesk, packagesOf } from '../../../../test/support/lock-desk.ts';
import { manifestIn, otherPackage } from './archive-identity.ts';

const desk = new LockDesk();
const { registry, npmCache } = desk;
const names = ['posing@1.0.0', 'good@1.0.0', 'evil@1.0.0', 'user@1.0.0', 'plain@1.0.0', 'masked@1.0.0'];

/** An archive with nothing but this manifest. */
const packed = (content: string, folder = 'package'): Buffer => {
  const dir = mkdtempSync(join(desk.root, 'packed-'));
  execFileSync('sh', ['-c', `mkdir -p ${folder} && cat > ${folder}/package.json && tar -czf a.tgz ${folder}`], { cwd: dir, input: content }); // prettier-ignore
  return readFileSync(join(dir, 'a.tgz'));
};

beforeAll(async () => {
  await registry.open([
    { manifest: { name: 'good', version: '1.0.0' } },
    { manifest: { name: 'evil', version: '1.0.0' } },
    { manifest: { name: 'user', version: '1.0.0', dependencies: { other: 'npm:good@^1.0.0' } } },
    { manifest: { name: 'plain', version: '1.0.0', dependencies: { good: '^1.0.0' } } },
    { manifest: { name: 'masked', version: '1.0.0' }, archive: packed('{"name":"hidden","version":"2.0.0"}') },
    { manifest: { name: 'posing', version: '1.0.0' }, archive: packed('{"name":"good","version":"1.0.0"}') },
  ]);
  await registry.fill(npmCache, ...names);
}, 60_000);
afterAll(() => desk.clear());

const install = desk.install.bind(desk);
const hashOf = (name: string): string => registry.integrity(name, '1.0.0');
const manifest = (dependencies: Record<string, string>, more: object = {}): Files => ({
  'package.json': JSON.stringify({ name: 'sample', version: '1.0.0', dependencies, ...more }),
});
const tarball = (name: string): string => `${registry.url}/${name}/-/${name}-1.0.0.tgz`;
const entry = (of: string, more: object = {}): object => ({ version: '1.0.0', resolved: tarball(of), integrity: hashOf(of), ...more }); // prettier-ignore
const npmLock = (wants: Record<string, string>, entries: Record<string, object>, more: object = {}): Files => ({
  ...manifest(wants, more),
  'package-lock.json': JSON.stringify({ name: 'sample', version: '1.0.0', lockfileVersion: 3, requires: true, packages: { '': { name: 'sample', version: '1.0.0', dependencies: wants }, ...entries } }), // prettier-ignore
});
const pnpmLock = (
  wants: Record<string, string>,
  direct: Record<string, string>,
  hashes: Record<string, string>,
  below: Record<string, string> = {},
): Files => ({
  ...manifest(wants),
  'pnpm-lock.yaml': [
    "lockfileVersion: '9.0'\n\nsettings:\n  autoInstallPeers: true\n  excludeLinksFromLockfile: false\n\nimporters:\n\n  .:\n    dependencies:",
    ...Object.entries(wants).map(([name, range]) => `      ${name}:\n        specifier: ${range}\n        version: ${direct[name]!}`),
    '\npackages:',
    ...Object.entries(hashes).map(([id, hash]) => `\n  ${id}:\n    resolution: {integrity: ${hash}}`),
    '\nsnapshots:',
    ...Object.keys(hashes).map((id) => (below[id] === undefined ? `\n  ${id}: {}` : `\n  ${id}:\n    dependencies:\n      ${below[id]}`)),
    '',
  ].join('\n'),
}); // prettier-ignore
const yarnLock = (wants: Record<string, string>, of: string, pattern: string): Files => ({
  ...manifest(wants),
  'yarn.lock': `# yarn lockfile v1\n\n\n"${pattern}":\n  version "1.0.0"\n  resolved "${tarball(of === 'evil' ? 'good' : of)}#abc"\n  integrity ${hashOf(of)}\n`,
});

describe('an archive that a lock gives to another package', () => {
  it.each<[string, () => Files]>([
    ['pnpm', () => pnpmLock({ good: '1.0.0' }, { good: '1.0.0' }, { 'good@1.0.0': hashOf('evil') })],
    ['yarn', () => yarnLock({ good: '1.0.0' }, 'evil', 'good@1.0.0')],
  ])(
    'is not installed from a lock of %s, though its hash is what the lock says',
    async (_tool, files) => {
      expect(await install(files())).toMatchObject({
        status: 'refused',
        reason: expect.stringContaining('gives packages the archives of others'),
        refused: [expect.stringContaining('good@1.0.0 has the archive of evil@1.0.0')],
      });
    },
    60_000,
  );

  it('is not installed from a lock of npm, which finds another hash than the registry has', async () => {
    const files = npmLock({ good: '1.0.0' }, { 'node_modules/good': { ...entry('evil'), resolved: tarball('good') } });
    expect(await install(files)).toMatchObject({ status: 'not_run', blocked: false, reason: expect.stringContaining('EINTEGRITY') }); // prettier-ignore
  }, 60_000);

  it('is not installed from a lock of npm where the registry itself gives it out as another', async () => {
    expect(await install(npmLock({ masked: '1.0.0' }, { 'node_modules/masked': entry('masked') }))).toMatchObject({
      status: 'refused',
      reason: 'package-lock.json gives packages the archives of others',
      refused: ['node_modules/masked: masked@1.0.0 has the archive of hidden@2.0.0'],
    });
  }, 60_000);

  it('is not installed where the lock of npm says that it came in another archive, and has a hash for it', async () => {
    const inside = { 'node_modules/masked': entry('masked', { inBundle: true }) };
    expect(await install(npmLock({ masked: '1.0.0' }, inside))).toMatchObject({
      status: 'refused',
      refused: ['node_modules/masked: masked@1.0.0 has the archive of hidden@2.0.0'],
    });
  }, 60_000);

  it.each([true, false])('is not found by its hash after it was refused under its own name (fetched: %s)', async (fetched) => {
    const more = fetched ? { npmCache: null, cacheDir: mkdtempSync(join(desk.root, 'cache-')) } : {};
    const lock = (of: string, hash: string): Files => pnpmLock({ [of]: '1.0.0' }, { [of]: '1.0.0' }, { [`${of}@1.0.0`]: hash });
    expect(await install(lock('posing', hashOf('posing')), more)).toMatchObject({ status: 'refused', refused: [expect.stringContaining('posing@1.0.0 has the archive of good@1.0.0')] });
    const swapped = [lock('good', hashOf('posing')), { ...manifest({ good: '1.0.0' }), 'yarn.lock': yarnLock({ good: '1.0.0' }, 'posing', 'good@1.0.0')['yarn.lock']!.replace(tarball('posing'), tarball('good')) }];
    for (const files of [...swapped, npmLock({ good: '1.0.0' }, { 'node_modules/good': { ...entry('good'), integrity: hashOf('posing') } })])
      expect(await install(files, more)).toMatchObject({ status: 'not_run', blocked: false, reason: expect.stringContaining('EINTEGRITY') });
    expect(await install(lock('good', hashOf('good')), more)).toMatchObject({ status: 'installed' });
  }, 120_000); // prettier-ignore

  it('is not needed to be where npm has its archives, if the registry says that it is the package', async () => {
    registry.elsewhere = true;
    try {
      const more = { npmCache: null, cacheDir: mkdtempSync(join(desk.root, 'cache-')) };
      const lock = (hash: string): Files => pnpmLock({ good: '1.0.0' }, { good: '1.0.0' }, { 'good@1.0.0': hash });
      expect(await install(lock(hashOf('good')), more)).toMatchObject({ status: 'installed' });
      expect(await install(lock(hashOf('posing')), more)).toMatchObject({ status: 'not_run', blocked: false });
    } finally {
      registry.elsewhere = false;
    }
  }, 60_000);

  it('is refused where the address says so already', async () => {
    const files = npmLock({ good: '1.0.0' }, { 'node_modules/good': entry('evil') });
    expect(await install(files)).toMatchObject({ status: 'refused', refused: [expect.stringContaining('a tarball of another package')] }); // prettier-ignore
  });

  it.each<[string, () => Files]>([
    ['npm', () => npmLock({ good: '1.0.0' }, { 'node_modules/good': { name: 'evil', ...entry('evil') } })],
    ['pnpm', () => pnpmLock({ good: '1.0.0' }, { good: 'evil@1.0.0' }, { 'evil@1.0.0': hashOf('evil') })],
    ['yarn 4', () => ({
      ...manifest({ good: '1.0.0' }),
      '.yarnrc.yml': 'nodeLinker: node-modules\n',
      'yarn.lock': `__metadata:\n  version: 8\n  cacheKey: 10c0\n\n"good@npm:1.0.0":\n  version: 1.0.0\n  resolution: "evil@npm:1.0.0"\n  checksum: 10c0/${'a'.repeat(128)}\n  languageName: node\n  linkType: hard\n`,
    })],
  ])('is refused in a lock of %s that calls it by a name that nobody asked for', async (_tool, files) => {
    expect(await install(files())).toMatchObject({ status: 'refused', refused: expect.arrayContaining([expect.stringContaining('nothing asks for it under that name')]) });
  }, 60_000); // prettier-ignore

  it('is refused where the lock alone says that a package asks for it under that name', async () => {
    const said = { dependencies: { good: 'npm:evil@1.0.0' } };
    const files = npmLock({ plain: '1.0.0' }, { 'node_modules/plain': entry('plain', said), 'node_modules/good': { name: 'evil', ...entry('evil') } }); // prettier-ignore
    expect(await install(files)).toMatchObject({ status: 'refused', refused: [expect.stringContaining('nothing asks for it under that name')] }); // prettier-ignore
    const pnpm = pnpmLock({ plain: '1.0.0' }, { plain: '1.0.0' }, { 'evil@1.0.0': hashOf('evil'), 'plain@1.0.0': hashOf('plain') }, { 'plain@1.0.0': 'good: evil@1.0.0' }); // prettier-ignore
    expect(await install(pnpm)).toMatchObject({ status: 'refused', refused: [expect.stringContaining('plain@1.0.0 gets evil as good, and does not ask for it')] }); // prettier-ignore
    const yarn = `# yarn lockfile v1\n\n\n"good@npm:evil@1.0.0":\n  version "1.0.0"\n  resolved "${tarball('evil')}#abc"\n  integrity ${hashOf('evil')}\n\nplain@1.0.0:\n  version "1.0.0"\n  resolved "${tarball('plain')}#abc"\n  integrity ${hashOf('plain')}\n  dependencies:\n    good "npm:evil@1.0.0"\n`; // prettier-ignore
    expect(await install({ ...manifest({ plain: '1.0.0' }), 'yarn.lock': yarn })).toMatchObject({ status: 'refused', refused: [expect.stringContaining('plain@1.0.0 gets evil as good, and does not ask for it')] }); // prettier-ignore
    const [evil, asks] = ['evil', 'plain'].map((of) => `  version: 1.0.0\n  resolution: "${of}@npm:1.0.0"\n  checksum: 10c0/${'a'.repeat(128)}\n  languageName: node\n  linkType: hard\n`); // prettier-ignore
    const berry = `__metadata:\n  version: 8\n  cacheKey: 10c0\n\n"good@npm:evil@1.0.0":\n${evil}\n"plain@npm:1.0.0":\n${asks}  dependencies:\n    good: "npm:evil@1.0.0"\n`; // prettier-ignore
    expect(await install({ ...manifest({ plain: '1.0.0' }), '.yarnrc.yml': 'nodeLinker: node-modules\n', 'yarn.lock': berry })).toMatchObject({ status: 'refused', refused: [expect.stringContaining('plain@1.0.0 gets evil as good, and does not ask for it')] }); // prettier-ignore
  }, 60_000);
});

describe('a package under another name', () => {
  it.each<[string, () => Files]>([
    ['a manifest of npm', () => npmLock({ other: 'npm:good@1.0.0' }, { 'node_modules/other': { name: 'good', ...entry('good') } })],
    ['a package of npm', () => npmLock({ user: '1.0.0' }, { 'node_modules/user': entry('user', { dependencies: { other: 'npm:good@^1.0.0' } }), 'node_modules/other': { name: 'good', ...entry('good') } })],
    ['overrides of npm', () => npmLock({ good: '1.0.0', plain: '1.0.0' }, { 'node_modules/good': entry('good'), 'node_modules/plain': entry('plain', { dependencies: { good: '^1.0.0' } }), 'node_modules/plain/node_modules/good': { name: 'evil', ...entry('evil') } }, { overrides: { plain: { good: 'npm:evil@1.0.0' } } })],
    ['overrides of npm by reference', () => npmLock({ spare: 'npm:evil@1.0.0', plain: '1.0.0' }, { 'node_modules/spare': { name: 'evil', ...entry('evil') }, 'node_modules/plain': entry('plain', { dependencies: { good: '^1.0.0' } }), 'node_modules/good': { name: 'evil', ...entry('evil') } }, { overrides: { good: '$spare' } })],
    ['a manifest of pnpm', () => pnpmLock({ other: 'npm:good@1.0.0' }, { other: 'good@1.0.0' }, { 'good@1.0.0': hashOf('good') })],
    ['a package of pnpm', () => pnpmLock({ user: '1.0.0' }, { user: '1.0.0' }, { 'good@1.0.0': hashOf('good'), 'user@1.0.0': hashOf('user') }, { 'user@1.0.0': 'other: good@1.0.0' })],
    ['a manifest of yarn', () => yarnLock({ other: 'npm:good@1.0.0' }, 'good', 'other@npm:good@1.0.0')],
  ])('is installed where %s asks for it', async (_who, files) => {
    const installed = await install(files());
    expect(installed).toMatchObject({ status: 'installed', refused: [] });
    if (installed.has('other')) expect(createRequire(join(packagesOf(installed), 'x.js'))('other')).toBe('good@1.0.0');
  }, 60_000); // prettier-ignore
});

describe('what an archive says of itself', () => {
  it('is read whatever its folder is called, packed or not', async () => {
    const archive = packed('\uFEFF{"name":"a","version":"v1.0.0+build"}', 'a-1');
    for (const each of [archive, gunzipSync(archive)])
      expect(otherPackage({ name: 'a', version: '1.0.0' }, await manifestIn(each))).toBeNull();
    expect(otherPackage({ name: 'a', version: '1.0.1' }, await manifestIn(archive))).toContain('has the archive of a@v1.0.0');
  }); // prettier-ignore

  it('is nothing where it cannot be read, and then it is none that the lock names', async () => {
    for (const archive of [
      Buffer.from('no archive'),
      packed('{'),
      packed('[]'),
      packed('{}', 'a/b'),
      packed('{"name":"a"}').subarray(0, 60),
      // As small as it looks, and nothing but zeros behind its end.
      gzipSync(Buffer.concat([gunzipSync(packed('{"name":"a","version":"1.0.0"}')), Buffer.alloc(80 * 1024 ** 2)])),
    ])
      // prettier-ignore
      expect(otherPackage({ name: 'a', version: '1.0.0' }, await manifestIn(archive))).toContain('a@1.0.0 has');
  });
});
