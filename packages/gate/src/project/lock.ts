import type { SourceTree } from '../source/tree.ts';

export interface LockedPackage {
  name: string;
  version: string;
  place: string;
  integrity: string | null;
  licence: string | null;
  runsOnInstall: boolean;
  dev: boolean;
}
type Json = Record<string, unknown>;
const record = (value: unknown): Json =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : {};

export const lockFileOf = (tree: SourceTree | null): string | null =>
  ['npm-shrinkwrap.json', 'package-lock.json'].find((path) => tree?.has(path) === true) ?? null;

/** What npm's lock file pins, one by one; the project itself and its workspaces are not among them. */
export function lockedPackages(tree: SourceTree | null): LockedPackage[] {
  const path = lockFileOf(tree);
  const lock = path === null ? null : (tree?.json(path) ?? null);
  return Object.entries(record(lock?.['packages'])).flatMap(([place, value]) => {
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
      },
    ];
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
        ...(each.integrity === null
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
