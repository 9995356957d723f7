import { pipeline, Readable, Transform } from 'node:stream';
import { createGunzip } from 'node:zlib';
import semver from 'semver';
import tar from 'tar-stream';
import { readRecord, text, type Json } from './lock-values.ts';

/** What is unpacked of one archive at most, what of it may belong to no entry, and how large the manifest in it may be. */
const mostBytes = 2 * 1024 ** 3;
const mostBesides = 64 * 1024 ** 2;
const mostManifestBytes = 4 * 1024 ** 2;

/** The manifest in a package's archive, as whoever unpacks it finds it: of several the last. null: there is none that can be read. */
export async function manifestIn(archive: Buffer): Promise<Json | null> {
  const packed = archive[0] === 0x1f && archive[1] === 0x8b;
  const extract = tar.extract();
  let found: string | null = null;
  let declared = 0;
  let passed = 0;
  // Zeros behind the end and headers of headers are read whole, and no entry tells of them.
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      passed += chunk.length;
      done(passed > declared + mostBesides ? new RangeError('more than its entries say') : null, chunk);
    },
  });
  const source = Readable.from([archive]);
  // What goes wrong ends the loop below.
  const ended = (): void => {};
  try {
    if (packed) pipeline(source, createGunzip(), counted, extract, ended);
    else pipeline(source, counted, extract, ended);
    for await (const entry of extract) {
      const { name, type, size = 0 } = entry.header;
      // With its own header, those that stand before it, and what fills it up.
      declared += size + 3_072;
      if (declared > mostBytes) return null;
      // The first folder is taken off, whatever it is called.
      if (/^(?:\.\/)?[^/]+\/package\.json$/.test(name) && type === 'file' && size <= mostManifestBytes) {
        const parts: Buffer[] = [];
        for await (const part of entry) parts.push(part as Buffer);
        found = Buffer.concat(parts).toString('utf8');
      } else entry.resume();
    }
    return found === null ? null : readRecord(found);
  } catch {
    return null;
  } finally {
    extract.destroy();
  }
}

/** Registries keep versions without what stands before or behind them in a manifest: `v1.0.0`, `1.0.0+build`. */
const bare = (version: string): string => semver.parse(version, { loose: true })?.version ?? version;

/** What a manifest says against being the package that a lock gives its archive to, as a sentence; null: it is that one. */
export function otherPackage(wanted: { name: string; version: string }, manifest: Json | null): string | null {
  const { name, version } = wanted;
  const given = `${name}@${version}`.slice(0, 300);
  if (manifest === null) return `${given} has an archive without a manifest that can be read`;
  const own = { name: text(manifest['name']) ?? '', version: text(manifest['version']) ?? '' };
  return own.name === name && bare(own.version) === bare(version)
    ? null
    : `${given} has the archive of ${`${own.name}@${own.version}`.slice(0, 300)}`;
}
