import { posix } from 'node:path';
import ts from 'typescript';
import type { SourceTree } from '../source/tree.ts';
import { archivePath, sha512Of } from './archives.ts';
import { isPackageName, isRegistryTarball, isVersion, NotSupported, staysInside } from './foreign-plan.ts'; // prettier-ignore
import { nameAndRest, record, text, type Json } from './lock-values.ts';
import { publicRegistries } from './lock.ts';

const path = 'bun.lock';
const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const;

/** `a/@s/b/c` is c within @s/b within a. */
function namesIn(place: string): string[] {
  const parts = place.split('/');
  const names: string[] = [];
  for (let at = 0; at < parts.length; at += 1)
    names.push(parts[at]!.startsWith('@') && at + 1 < parts.length ? `${parts[at]!}/${parts[(at += 1)]!}` : parts[at]!);
  return names;
}
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);

/** What npm calls a range that bun has words of its own for. */
export type SpecOf = (name: string, spec: string) => string;

/**
 * A lock of bun as npm's lock of the same packages in the same places: bun writes down where each package lies, in the way in which npm does, so
 * nothing has to be found out.
 *
 * @throws NotSupported
 */
export function npmLockOfBun(
  tree: SourceTree,
  operatorsHost: string | null,
): { lock: Json; problems: string[]; specOf: SpecOf } {
  const parsed = ts.parseConfigFileTextToJson(path, tree.wholeText(path) ?? '');
  const document = record(parsed.config);
  const version = document['lockfileVersion'];
  if (parsed.error !== undefined || typeof version !== 'number')
    throw new NotSupported(`${path} cannot be read; write it anew`);
  if (version > 2)
    throw new NotSupported(`${path} is a lock of version ${version}, and installed from are versions up to 2`);
  if (Object.keys(record(document['patchedDependencies'])).length > 0)
    throw new NotSupported(
      `${path} has patched packages, and nothing is patched here; do without them, or use pnpm or yarn`,
    );
  const problems: string[] = [];
  const packages: Json = {};
  const workspaces = record(document['workspaces']);
  for (const [place, value] of Object.entries(workspaces)) {
    if (!staysInside(place)) problems.push(`${path} has a workspace at ${place.slice(0, 200)}, outside the project`);
    else packages[place] = record(value);
    const manifest = tree.json(posix.join(place, 'package.json')) ?? {};
    for (const kind of kinds.slice(0, 3))
      for (const name of new Set([manifest, record(value)].flatMap((each) => Object.keys(record(each[kind])))))
        if (record(manifest[kind])[name] !== record(record(value)[kind])[name])
          throw new NotSupported(
            `${path} does not fit ${posix.join(place, 'package.json')}, which asks for another ${name.slice(0, 200)}; run bun install and commit the lock`,
          );
  }
  const entries = Object.entries(record(document['packages'])).map(([place, value]) => {
    const parts = list(value);
    const [name, rest] = nameAndRest(text(parts[0]) ?? '');
    return { names: namesIn(place), name, rest, parts };
  });
  /** Folders of workspaces by the names that they have in the lock. */
  const folders = new Map(
    entries.flatMap(({ names, rest }): [string, string][] =>
      names.length === 1 && rest.startsWith('workspace:') ? [[names[0]!, rest.slice('workspace:'.length)]] : [],
    ),
  );
  for (const { names, name, rest, parts } of entries) {
    const bad = [...names, name].find((each) => !isPackageName(each));
    const folder = folders.get(names[0]!);
    const below = names.slice(1).map((each) => `/node_modules/${each}`).join(''); // prettier-ignore
    const place = folder !== undefined && names.length > 1 ? `${folder}${below}` : `node_modules/${names[0]!}${below}`;
    if (bad !== undefined) problems.push(`${path} names a package ${bad.slice(0, 200)}, which is no name of one`);
    else if (rest.startsWith('workspace:')) {
      const to = rest.slice('workspace:'.length);
      if (!staysInside(to) || workspaces[to] === undefined)
        problems.push(`${path} links ${name} to ${to.slice(0, 200)}, which is no workspace`); // prettier-ignore
      else packages[place] = { resolved: to, link: true };
    } else if (!isVersion(rest)) {
      if (/^(?:link|file|root):/.test(rest)) throw new NotSupported(`${path} takes ${name} from a folder (${rest.slice(0, 100)}), and that is not done; make it a workspace`); // prettier-ignore
      problems.push(`${name} is resolved from ${rest.slice(0, 200)}, which is not a registry tarball`);
    } else {
      const from = text(parts[1]);
      const about = record(parts[2]);
      if (from !== null && !isRegistryTarball(from, name, operatorsHost) && !isRegistry(from, operatorsHost))
        problems.push(`${name} is resolved from ${from.slice(0, 200)}, which is not a registry tarball`);
      const optionalPeers = list(about['optionalPeers'] ?? []).map((each) => [String(each), { optional: true }]);
      packages[place] = {
        name,
        version: rest,
        // As every registry has it; whose that is the operator says.
        resolved: `https://${publicRegistries[0]!}${archivePath({ name, version: rest })}`,
        integrity: sha512Of(parts[3]) ?? undefined,
        ...Object.fromEntries([...kinds, 'bin'].flatMap((kind) => (about[kind] === undefined ? [] : [[kind, about[kind]]]))),
        ...(optionalPeers.length === 0 ? {} : { peerDependenciesMeta: Object.fromEntries(optionalPeers) as Json }),
        ...Object.fromEntries(['os', 'cpu', 'libc'].flatMap((what) => about[what] === undefined ? [] : [[what, list(about[what])]])),
      }; // prettier-ignore
    }
  }
  const needed = neededIn(packages, ['', ...folders.values()]);
  for (const [place, entry] of Object.entries(packages))
    if (place.includes('node_modules/') && !needed.has(place)) packages[place] = { ...record(entry), optional: true };
  const catalogs = record(document['catalogs']);
  const specOf: SpecOf = (name, spec) => {
    if (spec.startsWith('workspace:')) return '*';
    const catalog = /^catalog:(.*)$/.exec(spec)?.[1];
    if (catalog === undefined) return spec;
    return text(record(catalog === '' ? document['catalog'] : catalogs[catalog])[name]) ?? spec;
  };
  return {
    specOf,
    lock: { name: record(workspaces[''])['name'], lockfileVersion: 3, requires: true, packages },
    problems,
  };
}

const isRegistry = (address: string, operatorsHost: string | null): boolean =>
  URL.canParse(address) &&
  /^https?:$/.test(new URL(address).protocol) &&
  [...publicRegistries, operatorsHost].includes(new URL(address).host) &&
  !/\.t(?:ar\.)?gz$/.test(new URL(address).pathname);

/** Places of packages that something needs which is itself needed; the others may be for another platform. */
function neededIn(packages: Json, roots: readonly string[]): ReadonlySet<string> {
  const needed = new Set(roots);
  for (const place of needed) {
    const entry = record(packages[place]);
    if (entry['link'] === true && typeof entry['resolved'] === 'string') needed.add(entry['resolved']);
    for (const kind of ['dependencies', 'devDependencies', 'peerDependencies'] as const)
      for (const name of Object.keys(record(entry[kind]))) {
        for (let from = place; ; from = from.includes('/') ? posix.dirname(from) : '') {
          const at = posix.join(from, 'node_modules', name);
          if (packages[at] !== undefined) needed.add(at);
          if (packages[at] !== undefined || from === '') break;
        }
      }
  }
  return needed;
}
