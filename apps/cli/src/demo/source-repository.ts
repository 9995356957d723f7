import { execFile } from 'node:child_process';
import { cp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { TestCase } from '@muster/contracts';
import { parseDocument } from 'yaml';
import { z } from 'zod';

const run = promisify(execFile);

/** The repository that the demo plays on: always a copy, the newcomer's own is never touched. */
export interface SourceRepository {
  readonly name: string;
  readonly folder: string;
  /** Why there is no post-landing check that the demo could make fail; null when there is one. */
  readonly noRollback: string | null;
  /** What was added to the copy, in words for whoever watches. */
  readonly added: readonly string[];
}

const gitEnvironment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'))),
  GIT_TERMINAL_PROMPT: '0',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Muster demo',
  GIT_AUTHOR_EMAIL: 'demo@localhost',
  GIT_COMMITTER_NAME: 'Muster demo',
  GIT_COMMITTER_EMAIL: 'demo@localhost',
});

export const git = async (folder: string, ...args: string[]): Promise<string> => {
  const { stdout } = await run('git', args, {
    cwd: folder,
    env: gitEnvironment(),
    maxBuffer: 256 * 1024 * 1024,
    timeout: 600_000,
  });
  return stdout.trim();
};

/** The ledger that ships with Muster, as a repository of one commit. */
export async function copyLedger(example: string, folder: string): Promise<SourceRepository> {
  await cp(example, folder, { recursive: true, filter: (path) => !path.includes('node_modules') });
  await git(folder, 'init', '--quiet', '--initial-branch=main');
  await git(folder, 'add', '--all');
  await git(folder, 'commit', '--quiet', '-m', 'Keep a ledger');
  return { name: 'ledger', folder, noRollback: null, added: [] };
}

/** What the rollback step exceeds: a limit that no test of a project knows. */
const sizeBudget = `test -z "$(find . -name '*.generated.txt' -size +64k -not -path './node_modules/*')"`;

/** A clone of the newcomer's repository with one commit on top: a muster.yaml whose post-landing check can be failed. */
export async function cloneRepository(source: string, folder: string): Promise<SourceRepository> {
  const local = await stat(source).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
  const from = local ? (isAbsolute(source) ? source : resolve(source)) : source;
  if (!local && !/^(https?|ssh|git):\/\/|^[\w.-]+@[\w.-]+:/.test(source))
    throw new Error(`--repo ${source} is neither a folder nor a git URL.`);
  try {
    await git('/', 'clone', '--quiet', '--no-hardlinks', '--single-branch', '--', from, folder);
  } catch (error) {
    const words = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    throw new Error(`--repo ${source} cannot be cloned: ${words}`, { cause: error });
  }
  const head = await git(folder, 'rev-parse', '--verify', '--quiet', 'HEAD').catch(() => '');
  if (head === '') throw new Error(`--repo ${source} has no commit yet, so there is nothing to play on.`);
  await git(folder, 'checkout', '--quiet', '-B', 'main');
  const name =
    from
      .replace(/\/+$/, '')
      .replace(/\.git$/, '')
      .split(/[/:]/)
      .at(-1) || 'repository';

  const added: string[] = [];
  const settings = join(folder, 'muster.yaml');
  const document = parseDocument(await readFile(settings, 'utf8').catch(() => ''));
  const own = document.get('postLanding');
  if (own === undefined) {
    if (document.get('threshold') === undefined) document.set('threshold', 85);
    if (document.get('timeoutSeconds') === undefined) document.set('timeoutSeconds', 900);
    document.set('postLanding', sizeBudget);
    await writeFile(settings, String(document));
    added.push('muster.yaml');
  }
  if (await lockDependencies(folder)) added.push('package-lock.json');
  if (added.length > 0) {
    await git(folder, 'add', '--force', '--', ...added);
    await git(folder, 'commit', '--quiet', '-m', 'Let Muster judge changes');
  }
  return {
    name,
    folder,
    noRollback:
      own === undefined
        ? null
        : 'its muster.yaml has a post-landing check of its own, which the demo cannot know how to fail',
    added,
  };
}

const manifestShape = z.object({
  dependencies: z.record(z.string(), z.string()).default({}),
  devDependencies: z.record(z.string(), z.string()).default({}),
});

/** The gate installs from npm's lock file only; a copy without one gets it. Answers whether it was written. */
async function lockDependencies(folder: string): Promise<boolean> {
  const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => null);
  if (text === null) return false;
  const manifest = manifestShape.safeParse(JSON.parse(text));
  if (
    !manifest.success ||
    Object.keys({ ...manifest.data.dependencies, ...manifest.data.devDependencies }).length === 0
  )
    return false;
  for (const name of ['package-lock.json', 'npm-shrinkwrap.json']) {
    const lock = await readFile(join(folder, name), 'utf8').catch(() => null);
    if (lock !== null && /"lockfileVersion": *[23]/.test(lock)) return false;
  }
  try {
    const options = [
      '--package-lock-only',
      '--package-lock=true',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--silent',
    ];
    await run('npm', ['install', ...options], { cwd: folder, timeout: 180_000, maxBuffer: 64 * 1024 * 1024 });
  } catch {
    // The verification of the base says what that means for its checks.
    await rm(join(folder, 'package-lock.json'), { force: true });
    await git(folder, 'checkout', '--quiet', '--', '.');
    return false;
  }
  const lock = await readFile(join(folder, 'package-lock.json'), 'utf8').catch(() => null);
  if (lock === null) return false;
  await writeFile(join(folder, 'package-lock.json'), withoutMissing(lock));
  return true;
}

const lockShape = z.looseObject({
  packages: z.record(
    z.string(),
    z.looseObject({
      version: z.string().optional(),
      link: z.boolean().optional(),
      optional: z.boolean().optional(),
      optionalDependencies: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

/** Optional packages for other machines that a registry does not hold are named and not locked; `npm ci` then refuses the lock. */
const withoutMissing = (text: string): string => {
  const lock = lockShape.parse(JSON.parse(text));
  const held = new Set<string>();
  for (const [place, entry] of Object.entries(lock.packages)) {
    if (entry.optional === true && entry.version === undefined && entry.link !== true) delete lock.packages[place];
    else held.add(place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length));
  }
  for (const [place, entry] of Object.entries(lock.packages))
    for (const name of Object.keys(entry.optionalDependencies ?? {}))
      if (place !== '' && !held.has(name)) delete entry.optionalDependencies?.[name];
  return `${JSON.stringify(lock, null, 2)}\n`;
};

export const archive = async (folder: string): Promise<Buffer<ArrayBuffer>> => {
  const { stdout } = await run('git', ['archive', '--format=tar', 'HEAD'], {
    cwd: folder,
    env: gitEnvironment(),
    encoding: 'buffer',
    maxBuffer: 1024 * 1024 * 1024,
  });
  return Buffer.from(stdout);
};

export interface RealTest {
  readonly name: string;
  readonly file: string;
}

/** Tests that ran and passed on the base, with the file that each stands in; those that are found by their name first. */
export async function realTests(folder: string, cases: readonly TestCase[]): Promise<RealTest[]> {
  const files = (await git(folder, 'ls-files', '-z')).split('\0').filter((path) => /\.([cm]?[jt]sx?|py)$/.test(path));
  const texts = new Map<string, string>();
  const text = async (path: string): Promise<string> => {
    const known = texts.get(path);
    if (known !== undefined) return known;
    const read = await readFile(join(folder, path), 'utf8').catch(() => '');
    texts.set(path, read);
    return read;
  };
  const exact: RealTest[] = [];
  const loose: RealTest[] = [];
  for (const { name, file, status } of cases.slice(0, 2_000)) {
    if (status !== 'passed') continue;
    const words =
      name.split(/::|\s>\s|\[/)[0] === name
        ? name
        : name
            .split(/::|\s>\s/)
            .at(-1)!
            .replace(/\[.*$/, '');
    const own = file === null ? undefined : files.find((path) => path === file || file.endsWith(`/${path}`));
    const place = own ?? (await findFile(files.filter((path) => /test|spec/i.test(path)).slice(0, 500), words, text));
    if (place === undefined) continue;
    const found = (await text(place)).includes(words.split('.').at(-1)!.trim());
    (found ? exact : loose).push({ name, file: place });
    if (exact.length >= 40) break;
  }
  return [...exact, ...loose];
}

const findFile = async (
  files: readonly string[],
  words: string,
  text: (path: string) => Promise<string>,
): Promise<string | undefined> => {
  for (const path of files) if ((await text(path)).includes(words)) return path;
  return undefined;
};
