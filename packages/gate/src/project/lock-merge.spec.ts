import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detectSandbox } from '../sandbox/detect.ts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import { mergedPackages, mergeLock } from './lock-merge.ts';

const registry = 'https://packages.example';
type Json = Record<string, unknown>;
const entry = (name: string, version: string, more: Json = {}): Json => ({
  version,
  resolved: `${registry}/${name}/-/${name}-${version}.tgz`,
  integrity: `sha512-${Buffer.from(`${name}@${version}`.padEnd(64, '.')).toString('base64')}`,
  ...more,
});
const manifest = (dependencies: Json, more: Json = {}): string =>
  JSON.stringify({ name: 'app', version: '1.0.0', dependencies, ...more });
const lock = (dependencies: Json, packages: Json): string =>
  JSON.stringify({
    name: 'app',
    version: '1.0.0',
    lockfileVersion: 3,
    requires: true,
    packages: { '': { name: 'app', version: '1.0.0', dependencies }, ...packages },
  });
const shared = { 'node_modules/shared': entry('shared', '1.0.0') };

let workDir: string;
let driver: SandboxDriver;
beforeAll(async () => {
  workDir = await mkdtemp(join(tmpdir(), 'muster-lock-'));
  const sandbox = await detectSandbox('auto', [workDir]);
  if (sandbox.driver === null) throw new Error(sandbox.notes.join('; '));
  driver = sandbox.driver;
});
afterAll(() => rm(workDir, { recursive: true, force: true }));

const merge = (packageJson: string, ours: string, theirs: string, base = lock({ shared: '^1.0.0' }, shared)) =>
  mergeLock({ manifests: { 'package.json': packageJson }, base, ours, theirs }, { driver, workDir, registry });

describe('two lock files that were made from one', () => {
  const ours = lock(
    { shared: '^1.0.0', left: '^2.0.0' },
    { ...shared, 'node_modules/left': entry('left', '2.1.0', { dependencies: { below: '^1.0.0' } }), 'node_modules/below': entry('below', '1.4.0') },
  ); // prettier-ignore
  const theirs = lock({ shared: '^1.0.0', right: '^3.0.0' }, { 'node_modules/shared': entry('shared', '1.2.0'), 'node_modules/right': entry('right', '3.0.1') }); // prettier-ignore

  it('become one that holds what each has added and moved, written by npm without a network', async () => {
    const both = manifest({ shared: '^1.0.0', left: '^2.0.0', right: '^3.0.0' });
    const answer = await merge(both, ours, theirs);
    expect(answer).toEqual({ resolved: true, content: expect.any(String), tool: expect.stringMatching(/^npm \d+\./) });
    const { packages } = JSON.parse('content' in answer ? answer.content : '') as { packages: Json };
    expect(packages).toEqual({
      '': { name: 'app', version: '1.0.0', dependencies: { shared: '^1.0.0', left: '^2.0.0', right: '^3.0.0' } },
      'node_modules/shared': entry('shared', '1.2.0'),
      'node_modules/left': entry('left', '2.1.0', { dependencies: { below: '^1.0.0' } }),
      'node_modules/below': entry('below', '1.4.0'),
      'node_modules/right': entry('right', '3.0.1'),
    });
    // The same question has the same answer.
    expect(await merge(both, ours, theirs)).toEqual(answer);
  }, 60_000);

  it('run no script of anybody, and keep the settings of the project out', async () => {
    const escaped = join(workDir, 'escaped');
    const scripts = { preinstall: `touch ${escaped}`, prepare: `touch ${escaped}`, dependencies: `touch ${escaped}` };
    const answer = await merge(manifest({ shared: '*', left: '*', right: '*' }, { scripts }), ours, theirs);
    expect(answer).toMatchObject({ resolved: true });
    expect(existsSync(escaped)).toBe(false);
  }, 60_000);

  it.each([
    ['something that neither has locked', manifest({ shared: '^1.0.0', left: '^2.0.0', right: '^3.0.0', more: '^1.0.0' }), /without a network/],
    ['another version than both have locked', manifest({ shared: '^2.0.0', left: '^2.0.0', right: '^3.0.0' }), /without a network/],
    ['less than both have locked', manifest({ shared: '^1.0.0', right: '^3.0.0' }), /something else at node_modules\/below, node_modules\/left/],
    ['something from outside the registry', manifest({ shared: 'github:somebody/shared' }), /not from the registry/],
  ])('are left to whoever wrote one where the manifest asks for %s', async (_what, packageJson, why) => {
    expect(await merge(packageJson, ours, theirs)).toEqual({ resolved: false, why: expect.stringMatching(why) });
  }, 60_000); // prettier-ignore

  it.each([
    ['both have moved the same package', lock({}, { 'node_modules/shared': entry('shared', '1.1.0') }), /both sides changed what is locked at node_modules\/shared/],
    ['one says the same version with other contents', lock({}, { 'node_modules/shared': { ...entry('shared', '1.2.0'), integrity: 'sha512-AAAA' } }), /both sides changed/],
    ['one takes a package from elsewhere', lock({}, { 'node_modules/x': { ...entry('x', '1.0.0'), resolved: 'https://evil.example/x.tgz' } }), /not a registry tarball/],
    ['one is no JSON', '<<<<<<< ours', /not JSON/],
    ['one is of an old version', '{"lockfileVersion":1}', /version 2 or 3/],
  ])('are left to whoever wrote one where %s', async (_what, other, why) => {
    const answer = await merge(manifest({ shared: '*', right: '*' }), other, theirs);
    expect(answer).toEqual({ resolved: false, why: expect.stringMatching(why) });
  }); // prettier-ignore

  it('take out what one side took out', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => entry(name, '1.0.0'));
    const base = { 'node_modules/a': a, 'node_modules/b': b };
    expect(mergedPackages(base, { 'node_modules/b': b }, { ...base, 'node_modules/c': c })).toEqual({
      'node_modules/b': b,
      'node_modules/c': c,
    });
    const moved = { ...base, 'node_modules/a': entry('a', '2.0.0') };
    expect(() => mergedPackages(base, { 'node_modules/b': b }, moved)).toThrow('node_modules/a');
  });
});
