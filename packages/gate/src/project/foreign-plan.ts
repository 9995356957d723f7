import { posix } from 'node:path';
import semver from 'semver';
import type { SourceTree } from '../source/tree.ts';
import { publicRegistries } from './lock.ts';
import type { Json } from './lock-values.ts';

/** Why a lock is not installed from: nothing of it that is wrong, but something that is not done here. */
export class NotSupported extends Error {
  override readonly name = 'NotSupported';
}

/** A workspace's folder as the lock names it; anything that leads out of the project, or into nowhere, is none. */
export const staysInside = (path: string): boolean =>
  !posix.isAbsolute(path) && !posix.normalize(path).startsWith('..') && !path.includes('\\') && !path.includes('\0');

/** A name that is a folder, or one in a scope's folder, wherever it is put. */
export const isPackageName = (name: string): boolean =>
  name.length <= 214 && /^(?:@[\w~-][\w.~-]*\/)?[\w~-][\w.~-]*$/.test(name) && !/(?:^|\/)node_modules$/i.test(name);
export const isVersion = (version: string): boolean => semver.valid(version) === version.replace(/\+.*$/, '');

/** An address that a registry has a package of this name at; from there its hash says what it is, wherever it is taken from. */
export function isRegistryTarball(address: string, name: string, operatorsHost: string | null): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, host, pathname } = new URL(address);
  return (
    /^https?:$/.test(protocol) &&
    (publicRegistries.includes(host) || host === operatorsHost) &&
    pathname.replace(/%2f/gi, '/').includes(`/${name}/-/`)
  );
}

/** What a manager has to know of a manifest to see whether the lock fits: no scripts, and no tool that is to be fetched. */
const known = [
  ...['name', 'version', 'private', 'type', 'bin', 'workspaces', 'resolutions', 'overrides', 'installConfig'],
  ...['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'],
  ...['dependenciesMeta', 'peerDependenciesMeta'],
];

export const manifestFor = (manifest: Json, more: readonly string[] = []): Json =>
  Object.fromEntries(Object.entries(manifest).filter(([name]) => known.includes(name) || more.includes(name)));

export const pick = (from: Json, names: readonly string[]): Json =>
  Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));

/** Which C library programs are made for here; making a report is slow, and it stays the same. */
const libc = ((): string => {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header?.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
})();

/** Does a package that names platforms run on this one? `!x` means all but x. */
export function runsHere(entry: Json): boolean {
  const fits = (wants: unknown, here: string): boolean => {
    const names = (Array.isArray(wants) ? wants : wants === undefined ? [] : [wants]).map(String);
    if (names.length === 0 || names.includes('any')) return true;
    if (names.includes(`!${here}`)) return false;
    return names.includes(here) || names.every((name) => name.startsWith('!'));
  };
  return (
    fits(entry['os'], process.platform) &&
    fits(entry['cpu'], process.arch) &&
    (process.platform !== 'linux' || fits(entry['libc'], libc))
  );
}

/** Files of the project that its lock names, patches for instance. Links are none, whatever they point to. */
export function fileOf(tree: SourceTree, path: string, what: string): string {
  const content =
    staysInside(path) && tree.files.get(posix.normalize(path)) === null ? tree.text(posix.normalize(path)) : null;
  if (content === null)
    throw new NotSupported(`${what} ${path.slice(0, 200)} is no file of the project that can be read`);
  return content;
}
