import type { SourceTree } from '../source/tree.ts';
import { foreignLockNames, readForeignLock, type ForeignLock, type ForeignLockName } from './foreign-locks.ts';
import type { LockedPackage } from './locked-package.ts';
import { record } from './lock-values.ts';

export const npmLockNames = ['npm-shrinkwrap.json', 'package-lock.json'] as const;

/** npm's first: it is the one that is installed from. */
export const lockFileOf = (tree: SourceTree | null): string | null =>
  [...npmLockNames, ...foreignLockNames].find((path) => tree?.has(path) === true) ?? null;

/** Several checks ask for the same locks, which may be megabytes. */
function once<T>(known: WeakMap<SourceTree, Map<string, T>>, tree: SourceTree, path: string, read: () => T): T {
  const ofTree = known.get(tree) ?? new Map<string, T>();
  known.set(tree, ofTree);
  if (!ofTree.has(path)) ofTree.set(path, read());
  return ofTree.get(path)!;
}

const foreignLocks = new WeakMap<SourceTree, Map<string, ForeignLock | null>>();
/** null: there is none of that name, or it cannot be read as one. */
export const foreignLock = (tree: SourceTree, name: ForeignLockName): ForeignLock | null =>
  once(foreignLocks, tree, name, () => {
    const text = tree.wholeText(name);
    return text === null ? null : readForeignLock(name, text);
  });

const npmLocks = new WeakMap<SourceTree, Map<string, Readonly<Record<string, unknown>> | null>>();
/** npm's lock, of whatever size. */
export const npmLock = (tree: SourceTree, path: string): Readonly<Record<string, unknown>> | null =>
  once(npmLocks, tree, path, () => tree.json(path, tree.wholeText(path)));

/** What the lock file pins, one by one; the project itself and its workspaces are not among them. */
export function lockedPackages(tree: SourceTree | null): LockedPackage[] {
  const path = lockFileOf(tree);
  if (tree === null || path === null) return [];
  const foreign = foreignLockNames.find((name) => name === path);
  if (foreign !== undefined) return [...(foreignLock(tree, foreign)?.packages ?? [])];
  return Object.entries(record(npmLock(tree, path)?.['packages'])).flatMap(([place, value]) => {
    const entry = record(value);
    const at = place.lastIndexOf('node_modules/');
    if (at < 0 || entry['link'] === true || typeof entry['version'] !== 'string') return [];
    const own = entry['name'];
    return [
      {
        name: typeof own === 'string' ? own : place.slice(at + 'node_modules/'.length),
        version: entry['version'],
        place,
        integrity: typeof entry['integrity'] === 'string' ? entry['integrity'] : null,
        licence: typeof entry['license'] === 'string' ? entry['license'] : null,
        runsOnInstall: entry['hasInstallScript'] === true,
        dev: entry['dev'] === true,
        source: typeof entry['resolved'] === 'string' ? entry['resolved'] : null,
      },
    ];
  });
}

/** Where the world takes packages from. */
export const publicRegistries = ['registry.npmjs.org', 'registry.yarnpkg.com'];
/** The host that a source names; null for one that is no address. */
function hostOf(source: string): string | null {
  const url = /^https?:/.test(source) && URL.canParse(source) ? new URL(source) : null;
  return url === null ? null : url.host;
}
/** A tarball of a registry, or a registry itself, as against an archive of a repository or of anybody's. */
const isOfRegistry = (source: string): boolean => {
  const host = hostOf(source);
  return host !== null && (new URL(source).pathname.includes('/-/') || /^\/?$|registry/.test(new URL(source).pathname));
};

/**
 * What in a lock of pnpm, yarn or bun takes something from elsewhere than a registry that the operator, the world or the branch
 * takes packages from, or takes it whatever is in it; one sentence each.
 */
export function foreignLockProblems(
  lock: ForeignLockName,
  packages: readonly LockedPackage[],
  before: readonly LockedPackage[],
  operatorsHost: string | null,
): { key: string; message: string }[] {
  const hosts = new Set([
    ...publicRegistries,
    ...(operatorsHost === null ? [] : [operatorsHost]),
    ...before.flatMap(({ source }) => (source !== null && isOfRegistry(source) ? (hostOf(source) ?? []) : [])),
  ]);
  const known = new Set(before.map(({ name, source }) => `${name} ${source ?? ''}`));
  const versions = new Set(before.map(({ name, version }) => `${name}@${version}`));
  // Yarn once wrote none, and later ones leave it out for other platforms; what had one and lost it is `integrity_changed`.
  const hashed = lock !== 'yarn.lock' && packages.some(({ integrity }) => integrity !== null);
  return packages.flatMap(({ name, version, source, integrity }) => {
    const ofRegistry = source === null || (isOfRegistry(source) && hosts.has(hostOf(source)!));
    const what = `${name}@${version.slice(0, 100)}`;
    if (!ofRegistry && !known.has(`${name} ${source}`))
      return [
        {
          key: `${name} ${hostOf(source) ?? source}`,
          message: `${what} comes from ${source.slice(0, 200)}, which is no registry that packages are taken from`,
        },
      ];
    if (ofRegistry && hashed && integrity === null && !versions.has(`${name}@${version}`))
      return [{ key: `${name} hash`, message: `${what} has no integrity hash` }];
    return [];
  });
}

/** What a project is made of, as CycloneDX 1.5: from the lock alone, so it needs no network and is the same every time. */
export function sbomOf(tree: SourceTree): Record<string, unknown> {
  const manifest = tree.json('package.json') ?? {};
  const purl = (name: string, version: string): string => `pkg:npm/${name.replace(/^@/, '%40')}@${version}`;
  const packages = new Map(lockedPackages(tree).map((each) => [`${each.name}@${each.version}`, each]));
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        name: typeof manifest['name'] === 'string' ? manifest['name'] : 'project',
        version: typeof manifest['version'] === 'string' ? manifest['version'] : '0.0.0',
      },
    },
    components: [...packages.values()]
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.version < b.version ? -1 : 1))
      .map((each) => ({
        type: 'library',
        name: each.name,
        version: each.version,
        purl: purl(each.name, each.version),
        scope: each.dev ? 'optional' : 'required',
        ...(each.licence === null ? {} : { licenses: [{ expression: each.licence }] }),
        ...(each.integrity === null || !/^sha\d+-/.test(each.integrity)
          ? {}
          : {
              hashes: [
                {
                  alg: each.integrity.split('-')[0]!.toUpperCase().replace('SHA', 'SHA-'),
                  content: Buffer.from(each.integrity.split('-')[1] ?? '', 'base64').toString('hex'),
                },
              ],
            }),
      })),
  };
}
