import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { breathe } from '../breath.ts';
import { toolchain } from '../sandbox/toolchain.ts';
import { aliasesIn } from './aliases.ts';
import { manifestIn, otherPackage } from './archive-identity.ts';
import { readRecord, record } from './lock-values.ts';
import { publicRegistries } from './lock.ts';
import { npm, NpmFailed } from './npm.ts';

/** One package as a registry has it, packed. */
export interface Archive {
  readonly name: string;
  readonly version: string;
  /** Its sha512 as the lock has it; null: the lock pins what is made of it, and its tool compares that. */
  readonly integrity: string | null;
  /** What the lock has it load by another name, `name as name`: its own manifest has to ask for that. */
  readonly aliases?: readonly string[];
}

/** Where every registry has it. */
export const archivePath = ({ name, version }: Pick<Archive, 'name' | 'version'>): string =>
  `/${name}/-/${name.slice(name.indexOf('/') + 1)}-${version}.tgz`;

/** The sha512 in what a lock has as a hash; null: it has none, and whatever came would do. */
export function sha512Of(integrity: unknown): string | null {
  if (typeof integrity !== 'string') return null;
  return integrity.split(/\s+/).find((each) => /^sha512-[A-Za-z0-9+/]{86}==$/.test(each)) ?? null;
}

export type Gathered =
  | { readonly status: 'gathered'; /** File names by the path that a registry has them at. */ readonly files: Readonly<Record<string, string>> }
  | { readonly status: 'missing'; readonly reason: string; readonly blocked: boolean }
  | { readonly status: 'exchanged'; /** Which archives are those of other packages, one sentence each. */ readonly problems: readonly string[] }; // prettier-ignore

export interface ArchiveSource {
  readonly cacheDir: string;
  readonly registry: string | null;
  readonly npmCache?: string | null;
  readonly signal?: AbortSignal | undefined;
}

/** More would be an argument list that the kernel does not take. */
const mostAtOnce = 200;

/**
 * Lays the archives that a lock names into a folder, each compared with its hash: from the operator's npm cache by content, and where there
 * is none from what npm puts into a cache of ours from the operator's registry. Nothing of them is unpacked,
 * but each has to say itself that it is the package that the lock gives it to: a hash alone would take any package for any other.
 */
export async function gatherArchives(
  wanted: readonly Archive[],
  folder: string,
  source: ArchiveSource,
): Promise<Gathered> {
  const cache = source.npmCache ?? join(source.cacheDir, 'npm');
  const files: Record<string, string> = {};
  const hosts = [source.registry, ...publicRegistries.map((host) => `https://${host}`)].flatMap((each) =>
    each === null ? [] : [each.replace(/\/$/, '')],
  );
  mkdirSync(folder, { recursive: true });
  const exchanged: string[] = [];
  const take = async (archive: Archive): Promise<boolean> => {
    const known = integrityInCache(cache, archive, hosts);
    const integrity = archive.integrity ?? known;
    const bytes = integrity === null ? null : contentOf(cache, integrity);
    if (bytes === null) return false;
    const manifest = await manifestIn(bytes);
    const other = otherPackage(archive, manifest);
    if (other !== null) exchanged.push(other);
    // What was fetched for others lies there by its hash as well, and may call itself anything: the registry has to have it under this name.
    else if (integrity !== known && (known !== null || source.npmCache == null)) return false;
    const asked = aliasesIn([manifest ?? {}]);
    for (const alias of archive.aliases ?? [])
      if (!asked.has(alias))
        exchanged.push(`${archive.name}@${archive.version} gets ${alias}, and does not ask for it`);
    const file = `${createHash('sha256').update(bytes).digest('hex')}.tgz`;
    writeFileSync(join(folder, file), bytes, { mode: 0o644 });
    files[archivePath(archive)] = file;
    return true;
  };
  const missingOf = async (some: readonly Archive[]): Promise<Archive[]> => {
    const missing: Archive[] = [];
    for (const archive of some) {
      await breathe();
      if (!(await take(archive))) missing.push(archive);
    }
    return missing;
  };
  let missing = await missingOf(wanted);
  if (missing.length > 0 && source.npmCache == null) {
    if (toolchain().npmCli === null)
      return { status: 'missing', reason: 'npm was not found on this machine', blocked: true };
    const registry = source.registry === null ? [] : [`--registry=${source.registry}`];
    try {
      for (let from = 0; from < missing.length; from += mostAtOnce) {
        const specs = missing.slice(from, from + mostAtOnce).map(({ name, version }) => `${name}@${version}`);
        await npm(['cache', 'add', ...specs, '--cache', cache, '--prefer-offline', '--ignore-scripts', '--logs-max=0', ...registry], folder, source.signal); // prettier-ignore
      }
    } catch (error) {
      if (!(error instanceof NpmFailed)) throw error;
      return { status: 'missing', reason: error.message, blocked: error.outage };
    }
    missing = await missingOf(missing);
  }
  if (exchanged.length > 0) return { status: 'exchanged', problems: exchanged };
  if (missing.length === 0) return { status: 'gathered', files };
  const named = (some: readonly Archive[]): string =>
    `${some.slice(0, 10).map(({ name, version }) => `${name}@${version}`).join(', ')}${some.length > 10 ? ` and ${some.length - 10} more` : ''}`; // prettier-ignore
  const others = missing.filter((each) => each.integrity !== null && integrityInCache(cache, each, hosts) !== null);
  if (others.length > 0)
    return { status: 'missing', blocked: false, reason: `EINTEGRITY: the lock file has another hash than what there is of ${named(others)}; write the lock file anew` }; // prettier-ignore
  return source.npmCache == null
    ? { status: 'missing', blocked: false, reason: `the registry has nothing with the hash that the lock file has for ${named(missing)}` } // prettier-ignore
    : { status: 'missing', blocked: true, reason: `ENOTCACHED: the operator's npm cache lacks ${named(missing)}; npm cache add puts it there` }; // prettier-ignore
}

/** What a cache of npm has by this hash; null: nothing, or something that it is not the hash of. */
function contentOf(cache: string, integrity: string): Buffer | null {
  const hash = Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex');
  try {
    const bytes = readFileSync(join(cache, '_cacache', 'content-v2', 'sha512', hash.slice(0, 2), hash.slice(2, 4), hash.slice(4))); // prettier-ignore
    return createHash('sha512').update(bytes).digest('hex') === hash ? bytes : null;
  } catch {
    return null;
  }
}

/** More of what a registry says about one package is not read. */
const mostAboutOne = 64 * 1024 ** 2;

/**
 * The hash of the archive that a registry has under this name and version, as npm's cache has it: of the archive when it was fetched, else
 * what the registry said of it, since not each keeps its archives where {@link archivePath} says. null: none is known.
 */
function integrityInCache(cache: string, archive: Archive, registries: readonly string[]): string | null {
  for (const registry of registries) {
    const fetched = answerInCache(cache, `${registry}${archivePath(archive)}`);
    if (fetched !== null) return fetched;
    const about = answerInCache(cache, `${registry}/${archive.name.replace('/', '%2f')}`);
    const bytes = about === null ? null : contentOf(cache, about);
    if (bytes === null || bytes.length > mostAboutOne) continue;
    const said = sha512Of(
      record(record(record(readRecord(bytes.toString('utf8'))?.['versions'])[archive.version])['dist'])['integrity'],
    );
    if (said !== null) return said;
  }
  return null;
}

/** The hash of what was once answered at an address, as the index of npm's cache has it. */
function answerInCache(cache: string, url: string): string | null {
  const key = `make-fetch-happen:request-cache:${url}`;
  const name = createHash('sha256').update(key).digest('hex');
  try {
    const lines = readFileSync(join(cache, '_cacache', 'index-v5', name.slice(0, 2), name.slice(2, 4), name.slice(4)), 'utf8').split('\n'); // prettier-ignore
    // The last line counts; each begins with its own hash, since two processes may write at once.
    for (const line of lines.reverse()) {
      const [hash, text] = line.split('\t');
      if (text === undefined || createHash('sha1').update(text).digest('hex') !== hash) continue;
      const entry = readRecord(text);
      if (entry?.['key'] === key) return sha512Of(entry['integrity']);
    }
  } catch {
    // nothing was
  }
  return null;
}
