import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { toolchain } from '../sandbox/toolchain.ts';
import { SourceTree } from '../source/tree.ts';
import { installDependencies } from './dependencies.ts';

let root: string;
let registry: Server;
let url: string;
let tarball: Buffer;
let asked = 0;
const integrity = (): string => `sha512-${createHash('sha512').update(tarball).digest('base64')}`;

/** A registry that has one package, and counts what it is asked. */
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gate-offline-'));
  mkdirSync(join(root, 'package'));
  const scripts = { postinstall: `touch ${join(root, 'ran')}` };
  writeFileSync(join(root, 'package', 'package.json'), JSON.stringify({ name: 'small', version: '1.0.0', scripts }));
  writeFileSync(join(root, 'package', 'index.js'), 'module.exports = 1;\n');
  execFileSync('tar', ['-czf', 'small.tgz', 'package'], { cwd: root });
  tarball = readFileSync(join(root, 'small.tgz'));
  registry = createServer((request, response) => {
    asked += 1;
    if (request.url === '/small/-/small-1.0.0.tgz') return response.end(tarball);
    if (request.url !== '/small') return response.writeHead(404).end('{}');
    const dist = { tarball: `${url}/small/-/small-1.0.0.tgz`, integrity: integrity() };
    const versions = { '1.0.0': { name: 'small', version: '1.0.0', hasInstallScript: true, dist } };
    return response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ name: 'small', 'dist-tags': { latest: '1.0.0' }, versions }));
  });
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}`;
});
afterAll(() => {
  registry.close();
  rmSync(root, { recursive: true, force: true });
});

const project = (name: string, packages: Record<string, string>): SourceTree => {
  const dir = mkdtempSync(join(root, 'project-'));
  const manifest = { name, version: '1.0.0', dependencies: packages };
  const entries = Object.entries(packages).map(([each, version]) => [
    `node_modules/${each}`,
    { version, resolved: `${url}/${each}/-/${each}-${version}.tgz`, integrity: integrity(), hasInstallScript: true }, // prettier-ignore
  ]);
  const lock = { name, version: '1.0.0', lockfileVersion: 3, requires: true, packages: { '': manifest, ...(Object.fromEntries(entries) as object) } }; // prettier-ignore
  writeFileSync(join(dir, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(dir, 'package-lock.json'), JSON.stringify(lock));
  return new SourceTree(dir);
};

describe('dependencies from the operator’s cache', () => {
  it('are installed without asking any registry, and what is missing is said to be the machine’s lack', async () => {
    const npmCache = join(root, 'npm-cache');
    const { node, npmCli } = toolchain();
    // As the runbook says that it is filled.
    await promisify(execFile)(node, [npmCli!, 'cache', 'add', 'small@1.0.0', '--cache', npmCache, '--registry', url]);
    const before = asked;
    expect(before).toBeGreaterThan(0);
    const options = { cacheDir: join(root, 'cache'), registry: url, npmCache };
    const installed = await installDependencies(project('one', { small: '1.0.0' }), options);
    expect(installed).toMatchObject({ status: 'installed' });
    expect(installed.has('small')).toBe(true);
    expect(await installDependencies(project('two', { other: '1.0.0' }), options)).toMatchObject({
      status: 'not_run',
      blocked: true,
      reason: expect.stringContaining('ENOTCACHED'),
    });
    expect(asked).toBe(before);
    // Nor was anything of it run.
    expect(() => readFileSync(join(root, 'ran'))).toThrow('ENOENT');
  }, 60_000);
});
