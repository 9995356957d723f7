import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { sandboxPaths, type SandboxDriver } from '../sandbox/driver.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { SourceTree } from '../source/tree.ts';
import { aliasesIn, dependencyKinds } from './aliases.ts';
import { npmLockOfBun, type SpecOf } from './bun-lock.ts';
import { foreignLockNames } from './foreign-locks.ts';
import { NotSupported, staysInside } from './foreign-plan.ts';
import { readRecord, record, text, type Json } from './lock-values.ts';
import { otherPackage } from './archive-identity.ts';
import {
  homeOf,
  installedAt,
  isRealFolder,
  refusedAsExchanged,
  toolCaches,
  without,
  type Installed,
} from './installed.ts';
import { npmLock, npmLockNames, publicRegistries } from './lock.ts';
import { npm, NpmFailed } from './npm.ts';
import { installByManager, type ForeignPlan } from './package-manager.ts';
import { planPnpm } from './pnpm-plan.ts';
import { installPython } from './python-packages.ts';
import { makeReadable } from './readable.ts';
import { dependenciesOf } from './scripts.ts';
import { planYarn } from './yarn-plan.ts';

/** The name that stands at the end of a place, under which it is loaded. */
const placedName = (place: string): string => place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
const nameOf = (place: string, entry: Json): string => text(entry['name']) ?? placedName(place);

/** A package that is loaded by the name of another, which would be no other's to decide than who asks for it. */
const isUndeclaredAlias = (place: string, entry: Json, aliases: ReadonlySet<string>): boolean =>
  place.includes('node_modules/') &&
  entry['link'] !== true &&
  nameOf(place, entry) !== placedName(place) &&
  !aliases.has(`${nameOf(place, entry)} as ${placedName(place)}`);

/**
 * What in a lock would make npm fetch something else than a tarball of the registry. `resolved` itself is dropped afterwards, so
 * that the operator's registry is asked whatever stands there: this is about saying so, instead of quietly fetching another.
 */
export function lockProblems(lock: Json, registryHost: string | null, manifest: Json = {}): string[] {
  const problems: string[] = [];
  const aliases = aliasesIn([...Object.values(record(lock['packages'])).map(record), manifest]);
  for (const [place, value] of Object.entries(record(lock['packages']))) {
    const entry = record(value);
    const resolved = entry['resolved'];
    if (isUndeclaredAlias(place, entry, aliases))
      problems.push(`${place} is ${nameOf(place, entry).slice(0, 200)}, and nothing asks for it under that name`);
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
    const name = nameOf(place, entry);
    if (!known || !url!.pathname.includes('/-/'))
      problems.push(`${place} is resolved from ${resolved.slice(0, 200)}, which is not a registry tarball`);
    else if (!url!.pathname.replace(/%2f/gi, '/').includes(`/${name}/-/`))
      problems.push(`${place} is resolved from ${resolved.slice(0, 200)}, which is a tarball of another package`);
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
export function withoutTags(
  packages: Json,
  place: string,
  manifest: Json,
  specOf: SpecOf = (_name, spec) => spec,
): Json {
  const pinned: Json = { ...manifest };
  for (const kind of dependencyKinds) {
    if (manifest[kind] === undefined) continue;
    pinned[kind] = Object.fromEntries(
      Object.entries(record(manifest[kind])).map(([name, given]) => {
        const spec = typeof given === 'string' ? specOf(name, given) : given;
        return [name, isTag(spec) ? (lockedVersion(packages, place, name) ?? spec) : spec];
      }),
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
  /** Other tools than npm install in it; null or absent: they do not. */
  driver?: SandboxDriver | null;
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
  if ('manager' in plan) return await installByManager(plan, options);
  const key = `${options.cacheDir} ${plan.digest}`;
  const existing = running.get(key);
  if (existing !== undefined) return await existing;
  const work = install({ ...plan, options });
  running.set(key, work);
  try {
    return await work;
  } finally {
    running.delete(key);
  }
}

/**
 * The folder that a tree's packages are mounted from; null where it needs none, or none can be had. Whoever fills its `node_modules`
 * beforehand verifies without a registry.
 */
export function dependenciesHome(dir: string, cacheDir: string, registry: string | null = null): string | null {
  const plan = planInstall(new SourceTree(dir), registry);
  return 'status' in plan || 'manager' in plan ? null : homeOf(cacheDir, plan.digest);
}

interface InstallPlan {
  manifests: Map<string, Json>;
  stripped: string;
  digest: string;
  workspaces: string[];
  lockPath: string;
  packages: Json;
}

const planners = { 'pnpm-lock.yaml': planPnpm, 'yarn.lock': planYarn } as const;

/** The same of a lock of another tool. */
function planForeign(tree: SourceTree, path: keyof typeof planners, registry: string | null): ForeignPlan | Installed {
  try {
    const { plan, problems } = planners[path](tree, registry === null ? null : new URL(registry).host);
    for (const each of plan.files.keys())
      if (each.endsWith('package.json')) problems.push(...specProblems(tree.json(each) ?? {}, each));
    if (problems.length > 0) return refusedFor(path, problems);
    return plan;
  } catch (error) {
    return unreadable(error, path);
  }
}

/** Deeper than anything can be read, or with signs that stand for none, a lock is none. */
function unreadable(error: unknown, path: string): Installed {
  if (error instanceof NotSupported) return without('not_run', error.message);
  if (error instanceof RangeError || error instanceof URIError)
    return without('not_run', `${path} cannot be read: ${error.message}`);
  throw error;
}

const refusedFor = (path: string, problems: readonly string[]): Installed =>
  without('refused', `${path} asks for what does not come from the registry`, problems.slice(0, 50));

/** What would be installed, known by its content; or why nothing is. */
function planInstall(tree: SourceTree, registry: string | null): InstallPlan | ForeignPlan | Installed {
  const manifest = tree.json('package.json');
  const alone =
    manifest?.['workspaces'] === undefined && !(tree.has('pnpm-workspace.yaml') && tree.has('pnpm-lock.yaml'));
  if (manifest === null || (Object.keys(dependenciesOf(tree)).length === 0 && alone)) {
    return without('nothing_needed', 'the project has no dependencies');
  }
  const lockPath = npmLockNames.find((path) => tree.has(path));
  if (lockPath === undefined) {
    const other = [...foreignLockNames, 'bun.lockb' as const].find((path) => tree.has(path));
    if (other === 'bun.lock') return planBun(tree, registry);
    if (other === 'pnpm-lock.yaml' || other === 'yarn.lock') return planForeign(tree, other, registry);
    return without(
      'not_run',
      other === undefined
        ? 'the project has dependencies and no lock file; commit package-lock.json'
        : `nothing is installed from ${other}, a file that only bun reads; let bun write bun.lock (bun install --save-text-lockfile)`,
    );
  }
  return planNpm(tree, lockPath, npmLock(tree, lockPath), registry);
}

/** npm installs from bun's lock, too, once it is written in npm's way: both say where each package lies. */
function planBun(tree: SourceTree, registry: string | null): InstallPlan | Installed {
  try {
    const { lock, problems, specOf } = npmLockOfBun(tree, registry === null ? null : new URL(registry).host);
    return problems.length > 0 ? refusedFor('bun.lock', problems) : planNpm(tree, 'bun.lock', lock, registry, specOf);
  } catch (error) {
    return unreadable(error, 'bun.lock');
  }
}

function planNpm(
  tree: SourceTree,
  lockPath: string,
  lock: Json | null,
  registry: string | null,
  specOf: SpecOf = (_name, spec) => spec,
): InstallPlan | Installed {
  if (lock === null || typeof lock['lockfileVersion'] !== 'number' || lock['lockfileVersion'] < 2) {
    return without('not_run', `${lockPath} is not a lock of version 2 or 3; renew it with a current npm`);
  }
  const root = tree.json('package.json') ?? {};
  const problems = lockProblems(lock, registry === null ? null : new URL(registry).host, root);
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
      manifests.set(path, withoutTags(packages, path === 'package.json' ? '' : posix.dirname(path), rest, specOf));
    }
  }
  if (problems.length > 0) return refusedFor(lockPath, problems);
  const tools = toolchain();
  if (tools.npmCli === null) return { ...without('not_run', 'npm was not found on this machine'), blocked: true };
  const strippedPackages = Object.fromEntries(
    Object.entries(packages).map(([place, value]) => {
      const entry = record(value);
      if (entry['link'] === true) return [place, entry];
      const { resolved: _resolved, ...rest } = entry;
      return [place, withoutTags(packages, place, rest, specOf)];
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
  return { manifests, stripped, digest, workspaces, lockPath, packages };
}

/**
 * Which packages lie where the lock has others: npm asks for the hash alone, and takes what its cache has by it. What is in another's
 * archive came with that; what was left out here, for another platform, is not there.
 */
function exchangedIn(folder: string, packages: Json, manifests: readonly Json[]): string[] {
  const found: string[] = [];
  const installed = new Map<string, Json>();
  for (const [place, value] of Object.entries(packages)) {
    const entry = record(value);
    const version = text(entry['version']);
    // What came in another's archive has no hash of its own; what has one is fetched by it, whatever else the lock says.
    const isInside = entry['inBundle'] === true && typeof entry['integrity'] !== 'string';
    if (!place.includes('node_modules/') || entry['link'] === true || isInside || version === null) continue;
    if (!isRealFolder(folder, place)) continue;
    const manifest = manifestAt(join(folder, place));
    const other = otherPackage({ name: nameOf(place, entry), version }, manifest);
    if (other !== null) found.push(`${place}: ${other}`);
    installed.set(place, manifest ?? {});
  }
  // The lock's own word for who asks under which name is no better than the lock.
  const aliases = aliasesIn([...manifests, ...installed.values()]);
  for (const place of installed.keys())
    if (isUndeclaredAlias(place, record(packages[place]), aliases))
      found.push(`${place} is ${nameOf(place, record(packages[place]))}, and nothing asks for it under that name`);
  return found;
}

function manifestAt(folder: string): Json | null {
  try {
    return readRecord(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch {
    return null; // there is none
  }
}

async function install(given: InstallPlan & { options: InstallOptions }): Promise<Installed> {
  const { options, digest } = given;
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
      await npm(
        [
          'ci',
          '--ignore-scripts',
          '--no-audit',
          '--no-fund',
          '--include=dev',
          ...(options.npmCache == null
            ? ['--prefer-offline', '--cache', join(options.cacheDir, 'npm')]
            : ['--offline', '--logs-max=0', '--cache', options.npmCache]),
        ],
        folder,
        options.signal,
      );
      const exchanged = exchangedIn(folder, given.packages, [...given.manifests.values()]);
      if (exchanged.length > 0) return refusedAsExchanged(given.lockPath, exchanged);
      mkdirSync(join(folder, 'node_modules'), { recursive: true });
      for (const cache of toolCaches) mkdirSync(join(folder, 'node_modules', cache), { recursive: true });
      makeReadable(folder);
      renameSync(folder, home);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!existsSync(home)) {
        if (!(error instanceof NpmFailed)) throw error;
        return { ...without('not_run', error.message), blocked: error.outage };
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return installedAt(home, given.workspaces, digest);
}
