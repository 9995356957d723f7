import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { promisify } from 'node:util';
import { toolchain } from '../sandbox/toolchain.ts';
import type { SourceTree } from '../source/tree.ts';
import { pythonLocks, readPythonLock } from './python-locks.ts';
import { makeReadable } from './readable.ts';

/** What is to be installed, one line for pip each, with where that is said. */
export interface Pinned {
  readonly files: readonly string[];
  readonly lines: readonly string[];
  /** What cannot be taken from a wheel that is known by its hash, one sentence each. */
  readonly refused: readonly string[];
}

export type PythonPackages =
  | { readonly status: 'nothing_needed' }
  | { readonly status: 'installed'; readonly folder: string; readonly digest: string; readonly reason: string }
  | { readonly status: 'refused'; readonly reason: string; readonly refused: readonly string[] }
  | { readonly status: 'not_run'; readonly reason: string; readonly blocked: boolean };

const isRequirements = (path: string): boolean =>
  /^(?:requirements(?:[-_.][\w.-]*)?\.txt|requirements\/[\w.-]+\.txt)$/.test(path);
const hashed = /(?:^|\s)--hash[= ]sha(?:256|384|512):[0-9a-f]{64,128}(?=\s|$)/;
const pinnedLine =
  /^([A-Za-z0-9][\w.-]*(?:\[[\w., -]*\])?)\s*==\s*([\w.!+-]+)\s*(;[^\n]*?)?((?:\s+--hash[= ]sha(?:256|384|512):[0-9a-f]{64,128})+)$/;
/** They say where packages come from, and the operator does. */
const elsewhere = /^(?:-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host|--no-index|--require-hashes|--only-binary|--no-binary|--prefer-binary|--pre|-c|--constraint|--use-feature)\b/; // prettier-ignore
const mostFiles = 20;

/** Lines as pip reads them: without comments, and those that end in a stroke with the next. */
const logicalLines = (text: string): string[] =>
  text
    .replace(/\r/g, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.replace(/(?:^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');

/** What requirement files pin by hash. Files that pin nothing so are no locks, and nothing is installed from them. */
export function pinnedIn(tree: SourceTree): Pinned {
  const roots = [...tree.files.keys()].filter(
    (path) => isRequirements(path) && logicalLines(tree.text(path) ?? '').some((line) => hashed.test(line)),
  );
  const lines = new Set<string>();
  const refused: string[] = [];
  const files = new Set(roots.sort());
  for (const path of files) {
    const text = tree.text(path);
    if (text === null || files.size > mostFiles) {
      refused.push(`${path} cannot be read as a list of requirements`);
      continue;
    }
    for (const line of logicalLines(text)) {
      const included = /^(?:-r|--requirement)[= ]\s*(\S+)$/.exec(line)?.[1];
      if (included !== undefined) {
        const target = posix.join(posix.dirname(path), included);
        if (tree.has(target)) files.add(target);
        else refused.push(`${path} includes ${included.slice(0, 200)}, which is not in the project`);
        continue;
      }
      if (elsewhere.test(line)) continue;
      const [, name, version, marker, hashes] = pinnedLine.exec(line) ?? [];
      if (name === undefined) refused.push(`${path} asks for “${line.slice(0, 200)}”, which is no version pinned by a hash`);
      else lines.add(`${name}==${version!}${marker === undefined ? '' : ` ${marker.trim()}`} ${hashes!.trim().split(/\s+(?=--hash)/).sort().join(' ')}`); // prettier-ignore
    }
  }
  return { files: [...files], lines: [...lines].sort(), refused };
}

let interpreter: Promise<string | null> | undefined;
/** The Python that checks run, and its pip; null where there is no pip. */
const pythonWithPip = (): Promise<string | null> =>
  (interpreter ??= (async () => {
    const { python } = toolchain();
    if (python === null) return null;
    const asks = 'import pip, sys, sysconfig; print(pip.__version__, sys.implementation.cache_tag, sysconfig.get_platform())'; // prettier-ignore
    return await promisify(execFile)(python, ['-I', '-c', asks], { timeout: 20_000 }).then(
      ({ stdout }) => stdout.trim(),
      () => null,
    );
  })());

const running = new Map<string, Promise<PythonPackages>>();

export interface PythonOptions {
  readonly cacheDir: string;
  /** A folder of wheels that the operator fills; null: nothing is installed for Python. */
  readonly wheels: string | null;
  readonly signal?: AbortSignal | undefined;
  readonly onLog?: ((line: string) => void) | undefined;
}

/**
 * Installs what the requirement files of a tree pin by hash, or where none does its lock of uv or poetry, once per content: wheels only, of which nothing is run, each compared with its
 * hash, from the operator's folder and from nowhere else.
 */
export async function installPython(tree: SourceTree, options: PythonOptions): Promise<PythonPackages> {
  const { wheels } = options;
  if (wheels === null) return { status: 'nothing_needed' };
  const pinned = pinnedIn(tree);
  const lock = pinned.files.length > 0 ? undefined : pythonLocks.find((path) => tree.has(path));
  if (pinned.files.length === 0 && lock === undefined) return { status: 'nothing_needed' };
  const version = lock === undefined && pinned.refused.length > 0 ? '' : await pythonWithPip();
  if (version === null)
    return { status: 'not_run', reason: 'python3 has no pip on this machine, which installs wheels', blocked: true };
  const read = lock === undefined ? null : await readPythonLock(tree, lock, options.signal);
  if (read !== null && read.unusable !== null)
    return { status: 'not_run', reason: `nothing is installed from ${lock!}: ${read.unusable}`, blocked: false };
  const files = lock === undefined ? pinned.files : [lock];
  const { lines, refused } = read ?? pinned;
  if (refused.length > 0)
    return { status: 'refused', reason: `${files.join(', ')} asks for what is no pinned wheel`, refused: refused.slice(0, 50) }; // prettier-ignore
  if (lines.length === 0) return { status: 'nothing_needed' };
  const digest = createHash('sha256')
    .update(JSON.stringify([lines, version]))
    .digest('hex')
    .slice(0, 40);
  const key = `${options.cacheDir} ${digest}`;
  const work = running.get(key) ?? install({ wheels, lines, digest, files, options });
  running.set(key, work);
  try {
    return await work;
  } finally {
    running.delete(key);
  }
}

async function install(given: {
  wheels: string;
  lines: readonly string[];
  digest: string;
  files: readonly string[];
  options: PythonOptions;
}): Promise<PythonPackages> {
  const { options, digest } = given;
  const home = join(options.cacheDir, 'python', digest);
  const installed = { status: 'installed', folder: home, digest, reason: `installed from ${given.files.join(', ')}` } as const; // prettier-ignore
  if (existsSync(home)) return installed;
  const folder = join(options.cacheDir, 'python', `.${digest}-${randomUUID()}`);
  const target = join(folder, 'packages');
  try {
    mkdirSync(target, { recursive: true });
    const list = join(folder, 'requirements.txt');
    writeFileSync(list, `${given.lines.join('\n')}\n`);
    options.onLog?.('installing Python packages from the operator’s wheels');
    await promisify(execFile)(
      toolchain().python!,
      [
        ...['-I', '-m', 'pip', 'install', '--isolated', '--no-input', '--disable-pip-version-check', '--no-color'],
        ...['--no-cache-dir', '--no-compile', '--root-user-action=ignore', '--no-warn-script-location'],
        ...['--no-index', '--find-links', given.wheels, '--only-binary', ':all:', '--no-deps', '--require-hashes'],
        ...['--target', target, '--requirement', list],
      ],
      {
        cwd: folder,
        env: { PATH: process.env['PATH'] ?? '', HOME: folder, LC_ALL: 'C.UTF-8' },
        timeout: 300_000,
        maxBuffer: 16 * 1024 * 1024,
        ...(options.signal ? { signal: options.signal } : {}),
      },
    );
    makeReadable(target);
    renameSync(target, home);
    return installed;
  } catch (error) {
    options.signal?.throwIfAborted();
    if (existsSync(home)) return installed; // by another verifier
    return failed(error, readdirNames(given.wheels) === null ? given.wheels : null);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readdirNames(folder: string): string[] | null {
  try {
    return readdirSync(folder);
  } catch {
    return null;
  }
}

function failed(error: unknown, unreadable: string | null): PythonPackages {
  if (unreadable !== null)
    return { status: 'not_run', reason: `the folder of wheels cannot be read: ${unreadable}`, blocked: true };
  const said = error !== null && typeof error === 'object' && 'stderr' in error ? String(error.stderr) : String(error);
  const words = said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^WARNING:/.test(line))
    .map((line) => line.replace(/^ERROR:\s*/, ''));
  const mismatch = /DO NOT MATCH THE HASHES/.test(said);
  const reason = `pip install failed: ${(words.length > 0 ? words.slice(0, 6).join('; ') : said.trim()).slice(0, 1000)}`;
  // A wheel that is not there is the operator's to add; one that is another than the project has pinned is not.
  return { status: 'not_run', reason, blocked: !mismatch };
}
