import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { promisify } from 'node:util';
import { sandboxPaths, type SandboxMount } from '../sandbox/driver.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { SourceTree } from '../source/tree.ts';
import { foreignLockNames } from './foreign-locks.ts';
import { npmLock, npmLockNames, publicRegistries } from './lock.ts';
import { installPython } from './python-packages.ts';
import { makeReadable } from './readable.ts';
import { dependenciesOf } from './scripts.ts';

export interface Installed {
  status: 'nothing_needed' | 'installed' | 'refused' | 'not_run';
  reason: string;
  /** True: the machine or its registry is why there are none, and neither the manifest nor the lock. */
  blocked?: boolean;
  /** What of the lock or the manifest was refused, one sentence each. */
  refused: string[];
  mounts: SandboxMount[];
  /** Folders of the project that the mounts need to exist. */
  mountPoints: string[];
  has(packageName: string): boolean;
  /** The host's folder of packages for Python, which a run finds at `sandboxPaths.python`; null: there are none. */
  python: string | null;
  digest: string;
}

const without = (status: Installed['status'], reason: string, refused: string[] = []): Installed => ({
  status,
  reason,
  refused,
  mounts: [],
  mountPoints: [],
  has: () => false,
  python: null,
  digest: status,
});

/** For a tree that nothing is to be installed for. */
export const notInstalled = (reason: string): Installed => without('not_run', reason);

type Json = Record<string, unknown>;
const record = (value: unknown): Json =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : {};

/** A workspace's folder as the lock names it; anything that leads out of the project, or into nowhere, is none. */
const staysInside = (path: string): boolean =>
  !posix.isAbsolute(path) && !posix.normalize(path).startsWith('..') && !path.includes('\\');

/**
 * What in a lock would make npm fetch something else than a tarball of the registry. `resolved` itself is dropped afterwards, so
 * that the operator's registry is asked whatever stands there: this is about saying so, instead of quietly fetching another.
 */
export function lockProblems(lock: Json, registryHost: string | null): string[] {
  const problems: string[] = [];
  for (const [place, value] of Object.entries(record(lock['packages']))) {
    const entry = record(value);
    const resolved = entry['resolved'];
    if (place.includes('..') || posix.isAbsolute(place))
      problems.push(`the lock places a package at ${place}, outside the project`);
    if (typeof resolved !== 'string') continue;
    if (entry['link'] === true) {
      if (!staysInside(resolved)) problems.push(`${place} links to ${resolved}, outside the project`);
      continue;
    }
    let url: URL | null = null;
    try {
      url = new URL(resolved);
    } catch {
      // not an address at all
    }
    const known =
      url !== null &&
      /^https?:$/.test(url.protocol) &&
      (publicRegistries.includes(url.host) || url.host === registryHost);
    if (!known || !url!.pathname.includes('/-/'))
      problems.push(`${place} is resolved from ${resolved.slice(0, 200)}, which is not a registry tarball`);
    else if (typeof entry['integrity'] !== 'string' && entry['inBundle'] !== true)
      problems.push(`${place} has no integrity hash`);
  }
  return problems;
}

export const specProblems = (manifest: Json, path: string): string[] =>
  ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
    Object.entries(record(manifest[kind])).flatMap(([name, spec]) =>
      typeof spec === 'string' && /^(git|github:|gitlab:|bitbucket:|gist:|https?:|ssh:|[\w-]+\/[\w.-]+(#|$))/.test(spec)
        ? [`${path}: ${name} comes from ${spec.slice(0, 200)}, not from the registry`]
        : typeof spec === 'string' &&
            /^(file|link):/.test(spec) &&
            !staysInside(posix.join(posix.dirname(path), spec.replace(/^\w+:/, '')))
          ? [`${path}: ${name} comes from ${spec.slice(0, 200)}, outside the project`]
          : [],
    ),
  );

const dependencyKinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const;
/** `latest`, `next`: what the registry calls by a name, where a range would say which versions will do. */
const isTag = (spec: unknown): boolean =>
  typeof spec === 'string' && /^(?!x$)[a-z][\w.-]*$/i.test(spec) && !/^v\d/.test(spec);

/** The version that the lock has for a package as seen from this place, looked up as Node would. */
function lockedVersion(packages: Json, from: string, name: string): string | null {
  for (let place = from; ; place = place.includes('/') ? posix.dirname(place) : '') {
    const version = record(packages[posix.join(place, 'node_modules', name)])['version'];
    if (typeof version === 'string') return version;
    if (place === '') return null;
  }
}

/**
 * A manifest or an entry of the lock with its tags replaced by the versions that the lock has for them. A lock pins what a tag
 * meant when it was written; npm would ask again what it means today, since the entries no longer say where they came from.
 */
export function withoutTags(packages: Json, place: string, manifest: Json): Json {
  const pinned: Json = { ...manifest };
  for (const kind of dependencyKinds) {
    if (manifest[kind] === undefined) continue;
    pinned[kind] = Object.fromEntries(
      Object.entries(record(manifest[kind])).map(([name, spec]) => [
        name,
        isTag(spec) ? (lockedVersion(packages, place, name) ?? spec) : spec,
      ]),
    );
  }
  return pinned;
}

const running = new Map<string, Promise<Installed>>();

export interface InstallOptions {
  cacheDir: string;
  registry: string | null;
  /** An npm cache that the operator fills: packages come from there, and no registry is asked. */
  npmCache?: string | null;
  /** A folder of wheels that the operator fills: what a project pins by hash for Python comes from there. */
  pythonWheels?: string | null;
  signal?: AbortSignal | undefined;
  onLog?: ((line: string) => void) | undefined;
}

/** What a tree needs to be run, of npm's packages and of Python's, each once per content and read-only for every run. */
export async function installDependencies(tree: SourceTree, options: InstallOptions): Promise<Installed> {
  const node = await installNode(tree, options);
  if (node.status === 'refused' || node.status === 'not_run') return node;
  const python = await installPython(tree, { ...options, wheels: options.pythonWheels ?? null });
  switch (python.status) {
    case 'nothing_needed':
      return node;
    case 'refused':
      return without('refused', python.reason, [...python.refused]);
    case 'not_run':
      return { ...without('not_run', python.reason), blocked: python.blocked };
    case 'installed':
      return {
        ...node,
        status: 'installed',
        reason: node.status === 'installed' ? `${node.reason}; ${python.reason}` : python.reason,
        mounts: [...node.mounts, { from: python.folder, to: sandboxPaths.python, mode: 'ro' }],
        python: python.folder,
        digest: `${node.digest} ${python.digest}`,
      };
  }
}

/**
 * Installs what the lock file names, once per content: `npm ci` with scripts off, in a folder that holds the manifests and the
 * lock and nothing else of the project, from the operator's registry. The result is mounted read-only into every run.
 */
async function installNode(tree: SourceTree, options: InstallOptions): Promise<Installed> {
  const plan = planInstall(tree, options.registry);
  if ('status' in plan) return plan;
  const key = `${options.cacheDir} ${plan.digest}`;
  const existing = running.get(key);
  if (existing !== undefined) return await existing;
  const work = install({ ...plan, tools: toolchain(), options });
  running.set(key, work);
  try {
    return await work;
  } finally {
    running.delete(key);
  }
}

/** Folders of node_modules into which tools write; each run gets fresh ones. */
export const toolCaches = ['.vite', '.vite-temp', '.cache'] as const;

/**
 * The folder that a tree's packages are mounted from; null where it needs none, or none can be had. Whoever fills its `node_modules`
 * beforehand verifies without a registry.
 */
export function dependenciesHome(dir: string, cacheDir: string, registry: string | null = null): string | null {
  const plan = planInstall(new SourceTree(dir), registry);
  return 'status' in plan ? null : homeOf(cacheDir, plan.digest);
}

const homeOf = (cacheDir: string, digest: string): string => join(cacheDir, 'dependencies', digest);

interface InstallPlan {
  manifests: Map<string, Json>;
  stripped: string;
  digest: string;
  workspaces: string[];
}

/** What would be installed, known by its content; or why nothing is. */
function planInstall(tree: SourceTree, registry: string | null): InstallPlan | Installed {
  const manifest = tree.json('package.json');
  if (manifest === null || (Object.keys(dependenciesOf(tree)).length === 0 && manifest['workspaces'] === undefined)) {
    return without('nothing_needed', 'the project has no dependencies');
  }
  const lockPath = npmLockNames.find((path) => tree.has(path));
  if (lockPath === undefined) {
    const other = [...foreignLockNames, 'bun.lockb'].find((path) => tree.has(path));
    return without(
      'not_run',
      other === undefined
        ? 'the project has dependencies and no lock file; commit package-lock.json'
        : `nothing is installed from ${other}, only from npm's lock files`,
    );
  }
  const lock = npmLock(tree, lockPath);
  if (lock === null || typeof lock['lockfileVersion'] !== 'number' || lock['lockfileVersion'] < 2) {
    return without('not_run', `${lockPath} is not a lock of version 2 or 3; renew it with a current npm`);
  }
  const problems = lockProblems(lock, registry === null ? null : new URL(registry).host);
  const packages = record(lock['packages']);
  const workspaces = Object.keys(packages).filter(
    (place) => place !== '' && !place.includes('node_modules') && staysInside(place),
  );
  const manifests = new Map<string, Json>();
  for (const path of ['package.json', ...workspaces.map((place) => `${place}/package.json`)]) {
    const each = tree.json(path);
    if (each !== null) {
      problems.push(...specProblems(each, path));
      const { scripts: _scripts, ...rest } = each;
      manifests.set(path, withoutTags(packages, path === 'package.json' ? '' : posix.dirname(path), rest));
    }
  }
  if (problems.length > 0)
    return without('refused', `${lockPath} asks for what does not come from the registry`, problems.slice(0, 50));
  const tools = toolchain();
  if (tools.npmCli === null) return { ...without('not_run', 'npm was not found on this machine'), blocked: true };
  const strippedPackages = Object.fromEntries(
    Object.entries(packages).map(([place, value]) => {
      const entry = record(value);
      if (entry['link'] === true) return [place, entry];
      const { resolved: _resolved, ...rest } = entry;
      return [place, withoutTags(packages, place, rest)];
    }),
  );
  const stripped = JSON.stringify({ ...lock, dependencies: undefined, packages: strippedPackages });
  const digest = createHash('sha256')
    .update(
      JSON.stringify([
        [...manifests],
        stripped,
        tools.nodeVersion.split('.')[0],
        process.platform,
        process.arch,
        registry,
      ]),
    )
    .digest('hex')
    .slice(0, 40);
  return { manifests, stripped, digest, workspaces };
}

async function install(
  given: InstallPlan & { tools: ReturnType<typeof toolchain>; options: InstallOptions },
): Promise<Installed> {
  const { tools, options, digest } = given;
  const home = homeOf(options.cacheDir, digest);
  if (!existsSync(home)) {
    const folder = join(options.cacheDir, 'dependencies', `.${digest}-${randomUUID()}`);
    try {
      for (const [path, manifest] of given.manifests) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), JSON.stringify(manifest));
      }
      writeFileSync(join(folder, 'package-lock.json'), given.stripped);
      writeFileSync(
        join(folder, '.npmrc'),
        `ignore-scripts=true\naudit=false\nfund=false\nupdate-notifier=false\n${options.registry === null ? '' : `registry=${options.registry}\n`}`,
      );
      options.onLog?.('installing dependencies from the lock file');
      const env: Record<string, string> = { HOME: homedir(), NO_COLOR: '1' };
      for (const name of [
        'PATH',
        'HTTP_PROXY',
        'HTTPS_PROXY',
        'NO_PROXY',
        'http_proxy',
        'https_proxy',
        'no_proxy',
        'NODE_EXTRA_CA_CERTS',
        'SSL_CERT_FILE',
      ]) {
        const value = process.env[name];
        if (value !== undefined) env[name] = value;
      }
      await promisify(execFile)(
        tools.node,
        [
          tools.npmCli!,
          'ci',
          '--ignore-scripts',
          '--no-audit',
          '--no-fund',
          '--include=dev',
          ...(options.npmCache == null
            ? ['--prefer-offline', '--cache', join(options.cacheDir, 'npm')]
            : ['--offline', '--logs-max=0', '--cache', options.npmCache]),
        ],
        {
          cwd: folder,
          env,
          timeout: 300_000,
          maxBuffer: 16 * 1024 * 1024,
          ...(options.signal ? { signal: options.signal } : {}),
        },
      );
      mkdirSync(join(folder, 'node_modules'), { recursive: true });
      for (const cache of toolCaches) mkdirSync(join(folder, 'node_modules', cache), { recursive: true });
      makeReadable(folder);
      renameSync(folder, home);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!existsSync(home)) {
        const said =
          error !== null && typeof error === 'object' && 'stderr' in error ? String(error.stderr) : String(error);
        const words = said
          .split('\n')
          .filter((line) => /^npm error\s+\S/.test(line))
          .map((line) => line.replace(/^npm error\s+/, ''))
          .filter((line) => !/^(Clean install a project|Usage:|npm ci|Options:|\[|aliases:|Run "npm help)/.test(line));
        const what = `npm ci failed: ${(words.length > 0 ? words.slice(0, 8).join('; ') : said.trim()).slice(0, 1000)}`;
        return { ...without('not_run', what), blocked: isOutage(error, said) };
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const places = ['node_modules', ...given.workspaces.map((place) => `${place}/node_modules`)].filter((place) =>
    existsSync(join(home, place)),
  );
  return {
    status: 'installed',
    reason: 'installed from the lock file',
    refused: [],
    mounts: [
      ...places.map((place) => ({ from: join(home, place), to: `${sandboxPaths.work}/${place}`, mode: 'ro' as const })),
      ...toolCaches.map((cache) => ({
        from: '',
        to: `${sandboxPaths.work}/node_modules/${cache}`,
        mode: 'tmpfs' as const,
      })),
    ],
    mountPoints: places,
    has: (name) => existsSync(join(home, 'node_modules', name)),
    python: null,
    digest,
  };
}

/** Did npm end for want of network, registry, time or room, rather than because of what it was asked to install? */
export const isOutage = (error: unknown, said: string): boolean =>
  (error !== null && typeof error === 'object' && 'killed' in error && error.killed === true) ||
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|EPIPE|ERR_SOCKET_TIMEOUT|ENOSPC|EDQUOT|EROFS|EMFILE|ENOMEM|ENOTCACHED|E429|E5\d\d|EIDLETIMEOUT)\b/.test(
    said,
  );
