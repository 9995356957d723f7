import { parseSyml } from '@yarnpkg/parsers';
import ts from 'typescript';
import { parse as parseYaml } from 'yaml';
import { nameAndRest, record, text, type Json } from './lock-values.ts';
import type { LockedPackage } from './locked-package.ts';

/** What a lock file of pnpm, yarn or bun says, read as data. */
export interface ForeignLock {
  readonly packages: readonly LockedPackage[];
  /** By the folder of a manifest (`.` is the root): the ranges that the lock was made for. A manifest that is not here is not said. */
  readonly wants: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Yarn 1 does not say whose ranges they are, only which there are: `name@range`. */
  readonly ranges: ReadonlySet<string> | null;
  /** Names whose ranges the project overrules. */
  readonly overruled: ReadonlySet<string>;
}

const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'] as const;

const locked = (name: string, version: string, place: string, more: Partial<LockedPackage> = {}): LockedPackage => ({
  name,
  version,
  place,
  integrity: null,
  licence: null,
  runsOnInstall: false,
  dev: false,
  source: null,
  ...more,
});

/** `specifier` of each, as pnpm 7 and later write it for a manifest. */
const specifiersOf = (importer: Json): Map<string, string> =>
  new Map(
    kinds.flatMap((kind) =>
      Object.entries(record(importer[kind])).flatMap(([name, value]): [string, string][] => {
        const specifier = text(record(value)['specifier']) ?? text(record(importer['specifiers'])[name]);
        return specifier === null ? [] : [[name, specifier]];
      }),
    ),
  );

function readPnpm(content: string): ForeignLock | null {
  const document = record(parseYaml(content, { maxAliasCount: 20, logLevel: 'error' }));
  if (document['lockfileVersion'] === undefined) return null;
  const packages = Object.entries(record(document['packages'])).flatMap(([key, value]): LockedPackage[] => {
    const entry = record(value);
    const resolution = record(entry['resolution']);
    if (text(resolution['directory']) !== null) return [];
    // `/name/1.0.0_peers` before version 6, `/name@1.0.0(peers)` in it, `name@1.0.0` since.
    const bare = key.replace(/^\//, '').replace(/\(.*$/, '');
    const old = /^((?:@[^/]+\/)?[^/@]+)\/(\d[^/_]*)/.exec(bare);
    const [name, rest] = old === null ? nameAndRest(bare) : [old[1]!, old[2]!];
    const repo = text(resolution['repo']);
    const source = repo === null ? text(resolution['tarball']) : `${repo}#${text(resolution['commit']) ?? ''}`;
    return [
      locked(text(entry['name']) ?? name, text(entry['version']) ?? rest, key, {
        integrity: text(resolution['integrity']),
        runsOnInstall: entry['requiresBuild'] === true,
        dev: entry['dev'] === true,
        source: source ?? (/^\d/.test(rest) || text(entry['version']) !== null ? null : rest),
      }),
    ];
  });
  const importers = record(document['importers']);
  const wants = new Map(Object.entries(importers).map(([path, importer]) => [path, specifiersOf(record(importer))]));
  if (wants.size === 0) wants.set('.', specifiersOf(document));
  const overruled = new Set(Object.keys(record(document['overrides'])).map((name) => nameAndRest(name)[0]));
  return { packages, wants, ranges: null, overruled };
}

/** Yarn 1 and those after it write different things in nearly the same form. */
function readYarn(content: string): ForeignLock | null {
  const document = record(parseSyml(content));
  const metadata = document['__metadata'];
  const entries = Object.entries(document).filter(([key]) => key !== '__metadata');
  if (metadata === undefined && !/^#\s*yarn lockfile v1\s*$/m.test(content)) return null;
  const wants = new Map<string, Map<string, string>>();
  const ranges = new Set<string>();
  const packages = new Map<string, LockedPackage>();
  for (const [key, value] of entries) {
    const entry = record(value);
    const version = text(entry['version']) ?? '';
    const names = key.split(/,\s*/);
    if (metadata === undefined) {
      for (const each of names) ranges.add(each);
      const alias = /^.+@npm:(.+@.*)$/.exec(names[0]!)?.[1];
      const [name] = nameAndRest(alias ?? names[0]!);
      const source = text(entry['resolved']);
      packages.set(
        `${name}@${version} ${source ?? ''}`,
        locked(name, version, names[0]!, { integrity: text(entry['integrity']), source }),
      );
      continue;
    }
    const resolution = text(entry['resolution']) ?? names[0]!;
    const [name, rest] = nameAndRest(resolution);
    if (rest.startsWith('workspace:')) {
      const ofIt = Object.entries(record(entry['dependencies'])).map(([other, range]): [string, string] => [
        other,
        String(range).replace(/^npm:(?=[^@]*$)/, ''),
      ]);
      wants.set(rest.slice('workspace:'.length), new Map(ofIt));
      continue;
    }
    // Patches and links are files of the project, which stand in it for everybody to read.
    if (/^(?:patch|link|portal|file|exec):/.test(rest)) continue;
    const checksum = text(entry['checksum']);
    const madeBy = checksum?.includes('/') === true ? '' : `${text(record(metadata)['cacheKey']) ?? ''}/`;
    const archive = /::.*__archiveUrl=([^&]+)/.exec(rest)?.[1];
    packages.set(
      resolution,
      locked(name, version, resolution, {
        integrity: checksum === null ? null : `yarn:${madeBy}${checksum}`,
        source: archive === undefined ? (rest.startsWith('npm:') ? null : rest) : safelyDecoded(archive),
      }),
    );
  }
  return { packages: [...packages.values()], wants, ranges: metadata === undefined ? ranges : null, overruled: new Set() };
} // prettier-ignore

const safelyDecoded = (part: string): string => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

function readBun(content: string): ForeignLock | null {
  const parsed = ts.parseConfigFileTextToJson('bun.lock', content);
  const document = record(parsed.config);
  if (parsed.error !== undefined || typeof document['lockfileVersion'] !== 'number') return null;
  const packages = Object.entries(record(document['packages'])).flatMap(([place, value]): LockedPackage[] => {
    const [id, second, third, fourth] = Array.isArray(value) ? (value as unknown[]) : [];
    const [name, rest] = nameAndRest(text(id) ?? '');
    if (name === '' || /^(?:workspace|link|file|root):/.test(rest)) return [];
    // Of the registry: [id, registry, about, hash]; anything else has its source where the version would be.
    const ofRegistry = /^\d/.test(rest);
    return [
      locked(name, rest, place, {
        integrity: ofRegistry ? text(fourth) : text(third),
        source: ofRegistry ? text(second) : rest,
      }),
    ];
  });
  const wants = new Map(
    Object.entries(record(document['workspaces'])).map(([path, value]) => [
      path === '' ? '.' : path,
      new Map(
        kinds.flatMap((kind) =>
          Object.entries(record(record(value)[kind])).flatMap(([name, range]): [string, string][] =>
            typeof range === 'string' ? [[name, range]] : [],
          ),
        ),
      ),
    ]),
  );
  return { packages, wants, ranges: null, overruled: new Set(Object.keys(record(document['overrides']))) };
}

const readers = { 'pnpm-lock.yaml': readPnpm, 'yarn.lock': readYarn, 'bun.lock': readBun } as const;
export type ForeignLockName = keyof typeof readers;
export const foreignLockNames = Object.keys(readers) as ForeignLockName[];

/** null: it is none that its tool would read. */
export function readForeignLock(name: ForeignLockName, content: string): ForeignLock | null {
  try {
    return readers[name](content);
  } catch {
    return null;
  }
}
