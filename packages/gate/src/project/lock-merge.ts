import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { LockAnswer, LockConflict, NoAnswer } from '@muster/contracts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import { readReport } from '../sandbox/report.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { lockProblems, specProblems } from './dependencies.ts';
import { record, type Json } from './lock-values.ts';

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
const isInstalled = (place: string): boolean => place.includes('node_modules/');
/** What a place holds. The rest of an entry follows from it, and from what depends on it. */
const pinOf = (packages: Json, place: string): string | null => {
  if (packages[place] === undefined) return null;
  const { name, version, integrity, link, resolved } = record(packages[place]);
  return JSON.stringify([name, version, integrity, link, link === true ? resolved : null]);
};

const LARGEST_LOCK = 8_000_000;

class NotMergeable extends Error {}

function lockOf(text: string, whose: string): Json {
  let lock: Json;
  try {
    lock = record(JSON.parse(text));
  } catch {
    throw new NotMergeable(`${whose} lock file is not JSON`);
  }
  const { lockfileVersion } = lock;
  if (lockfileVersion !== 2 && lockfileVersion !== 3)
    throw new NotMergeable(`${whose} lock file is not one of version 2 or 3`);
  return lock;
}

/**
 * Two lock files that were made from one, merged by the places of their packages: what only one side changed is as that side has it.
 * Where both changed the same place in different ways there is no answer that follows from them, and it is left to whoever wrote one.
 */
export function mergedPackages(base: Json, ours: Json, theirs: Json): Json {
  const merged: Json = {};
  const clashes: string[] = [];
  for (const place of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    const [b, o, t] = [base, ours, theirs].map((packages) => pinOf(packages, place));
    const side = o === t || t === b ? ours : o === b ? theirs : null;
    // The project itself and its workspaces: npm takes them from the manifests.
    if (!isInstalled(place)) merged[place] = ours[place] ?? theirs[place];
    else if (side === null) clashes.push(place);
    else if (side[place] !== undefined) merged[place] = side[place];
  }
  if (clashes.length > 0)
    throw new NotMergeable(`both sides changed what is locked at ${clashes.sort().slice(0, 10).join(', ')}`);
  return merged;
}

/**
 * The lock file of a project both of whose sides changed it: merged place by place, and written by npm in the sandbox without a network.
 * It counts only if npm leaves every package as it was: then nothing is in it that one of the two sides had not locked, and whoever needs something
 * else is told so. No script of anybody's runs.
 */
export async function mergeLock(
  { manifests, base, ours, theirs }: Omit<LockConflict, 'path'>,
  given: {
    driver: SandboxDriver;
    /** Reachable by whoever runs sandboxed commands. */
    workDir: string;
    registry: string | null;
    signal?: AbortSignal | undefined;
  },
): Promise<LockAnswer | NoAnswer> {
  const { npmVersion, npmCli } = toolchain();
  if (npmCli === null || npmVersion === null) return { resolved: false, why: 'npm was not found on this machine' };
  const folder = await mkdtemp(join(given.driver.scratch ?? given.workDir, 'lock-'));
  try {
    const locks = { base: base === null ? {} : lockOf(base, 'the common'), ours: lockOf(ours, "the branch's"), theirs: lockOf(theirs, "the change's") }; // prettier-ignore
    const host = given.registry === null ? null : new URL(given.registry).host;
    const root = record(JSON.parse(manifests['package.json'] ?? '{}'));
    const problems = [
      ...lockProblems(locks.ours, host, root),
      ...lockProblems(locks.theirs, host, root),
      ...Object.entries(manifests).flatMap(([path, text]) => specProblems(record(JSON.parse(text)), path)),
    ];
    if (problems.length > 0) throw new NotMergeable(problems.slice(0, 3).join('; '));
    const packages = mergedPackages(
      record(locks.base['packages']),
      record(locks.ours['packages']),
      record(locks.theirs['packages']),
    );
    const work = join(folder, 'work');
    await mkdir(work, { recursive: true });
    for (const [path, text] of Object.entries(manifests)) {
      await mkdir(dirname(join(work, path)), { recursive: true });
      await writeFile(join(work, path), text);
    }
    const { dependencies: _old, ...rest } = locks.ours;
    const lockPath = join(work, 'package-lock.json');
    await writeFile(lockPath, `${JSON.stringify({ ...rest, packages }, null, 2)}\n`);
    // prettier-ignore
    const command = [
      'npm', 'install', '--package-lock-only', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier',
      '--cache=/tmp/npm', '--include=dev', '--include=optional', '--include=peer',
    ];
    const ran = await given.driver.run({
      command,
      workDir: work,
      network: 'none',
      limits: { timeoutMs: 120_000 },
      ...(given.signal === undefined ? {} : { signal: given.signal }),
    });
    if (ran.exitCode !== 0) {
      const said = ran.stderr.split('\n').filter((line) => /^npm (error|ERR!)/.test(line));
      throw new NotMergeable(
        `npm could not write it without a network: ${said.slice(0, 3).join('; ').slice(0, 500) || `exit code ${ran.exitCode}`}`,
      );
    }
    const content = readReport(lockPath, LARGEST_LOCK);
    if (content === null) throw new NotMergeable('npm left no lock file of a size that can be taken');
    const made = record(lockOf(content, 'the merged')['packages']);
    const other = [...new Set([...Object.keys(made), ...Object.keys(packages)])]
      .filter(isInstalled)
      .filter((place) => !same(pinOf(made, place), pinOf(packages, place)));
    if (other.length > 0)
      throw new NotMergeable(`npm would lock something else at ${other.sort().slice(0, 10).join(', ')}`);
    return { resolved: true, content, tool: `npm ${npmVersion}` };
  } catch (error) {
    given.signal?.throwIfAborted();
    if (error instanceof NotMergeable) return { resolved: false, why: error.message };
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
