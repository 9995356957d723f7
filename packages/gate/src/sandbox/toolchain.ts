import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { type SandboxMount, sandboxPaths } from './driver.ts';
import { ownFolder } from './own-folder.ts';

/** The programs that a sandboxed command finds besides the system's: the Node that we run on, its npm, a Python outside /usr. */
export interface Toolchain {
  node: string;
  nodeVersion: string;
  npmCli: string | null;
  npmVersion: string | null;
  python: string | null;
  pytest: boolean;
  mounts: SandboxMount[];
  path: string;
}

const findOnPath = (program: string): string | null => {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder !== '' && existsSync(join(folder, program))) return join(folder, program);
  }
  return null;
};

const answer = (program: string, args: string[]): string | null => {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
};

/** npm's own program: beside the Node that runs us, or wherever the `npm` on the PATH really lies. */
function findNpm(): string | null {
  const beside = join(dirname(dirname(process.execPath)), 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js');
  if (existsSync(beside)) return beside;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const npm = join(folder, 'npm');
    if (folder === '' || !existsSync(npm)) continue;
    const real = realpathSync(npm);
    if (real.endsWith('npm-cli.js')) return real;
    for (const near of [
      '../lib/node_modules/npm/bin/npm-cli.js',
      '../npm/bin/npm-cli.js',
      '../../npm/bin/npm-cli.js',
    ]) {
      const candidate = join(dirname(real), near);
      if (existsSync(candidate)) return candidate;
    }
  }
  return null;
}

let found: Toolchain | undefined;

/** Looked up once per process: none of it changes while we run. */
export function toolchain(): Toolchain {
  if (found !== undefined) return found;
  const node = realpathSync(process.execPath);
  const npmCli = findNpm();
  const mounts: SandboxMount[] = [];
  const path: string[] = [];
  if (!node.startsWith('/usr/')) mounts.push({ from: dirname(node), to: sandboxPaths.node, mode: 'ro' });
  path.push(node.startsWith('/usr/') ? dirname(node) : sandboxPaths.node);
  let npmVersion: string | null = null;
  if (npmCli !== null) {
    npmVersion = answer(node, [npmCli, '--version']);
    const home = dirname(dirname(npmCli));
    const inside = home.startsWith('/usr/') ? home : '/opt/npm';
    if (inside === '/opt/npm') mounts.push({ from: home, to: inside, mode: 'ro' });
    const bin = ownFolder('bin');
    chmodSync(bin, 0o755);
    process.once('exit', () => rmSync(bin, { recursive: true, force: true }));
    for (const [name, file] of [
      ['npm', 'npm-cli.js'],
      ['npx', 'npx-cli.js'],
    ] as const) {
      writeFileSync(join(bin, name), `#!/bin/sh\nexec node ${inside}/bin/${file} "$@"\n`);
      chmodSync(join(bin, name), 0o755);
    }
    mounts.push({ from: bin, to: '/opt/bin', mode: 'ro' });
    path.push('/opt/bin');
  }
  const python = findOnPath('python3');
  let prefix: string | null = null;
  let pytest = false;
  if (python !== null) {
    prefix = answer(python, ['-c', 'import sys; print(sys.prefix)']);
    pytest = answer(python, ['-c', 'import pytest; print(pytest.__version__)']) !== null;
    if (prefix !== null && !prefix.startsWith('/usr')) {
      mounts.push({ from: prefix, to: prefix, mode: 'ro' });
      path.push(join(prefix, 'bin'));
    }
  }
  found = {
    node,
    nodeVersion: process.version,
    npmCli,
    npmVersion,
    python: prefix === null ? null : python,
    pytest,
    mounts,
    path: [...path, '/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin'].join(':'),
  };
  return found;
}
