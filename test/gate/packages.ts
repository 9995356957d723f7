import { toolCaches } from '@muster/gate';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join, posix } from 'node:path';

interface Locked {
  version: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
  [key: string]: unknown;
}

/**
 * The sample projects' packages are those that this repository installs anyway, so that the corpus runs offline: a project names
 * them, and its versions, its lock and its `node_modules` are cut out of the repository's own.
 */
export class Packages {
  private readonly root: string;
  private readonly locked: ReadonlyMap<string, Locked>;

  constructor(root: string) {
    this.root = root;
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, Locked>;
    };
    this.locked = new Map(Object.entries(lock.packages).filter(([place]) => place.startsWith('node_modules/')));
  }

  has(name: string): boolean {
    return this.locked.has(`node_modules/${name}`);
  }

  version(name: string): string {
    const entry = this.locked.get(`node_modules/${name}`);
    if (entry === undefined) throw new Error(`this repository does not install ${name}; add it to its devDependencies`);
    return entry.version;
  }

  /** The part of the repository's lock that these packages and all below them need. */
  lockFor(manifest: {
    name: string;
    version: string;
    dependencies?: Record<string, string>;
    devDependencies: Record<string, string>;
  }): unknown {
    const { name, version, dependencies = {}, devDependencies } = manifest;
    const packages: Record<string, unknown> = {
      '': { name, version, ...(Object.keys(dependencies).length > 0 && { dependencies }), devDependencies },
    };
    const open = Object.keys({ ...dependencies, ...devDependencies }).map((name) => `node_modules/${name}`);
    for (let place = open.pop(); place !== undefined; place = open.pop()) {
      const entry = this.locked.get(place);
      if (entry === undefined || packages[place] !== undefined) continue;
      packages[place] = entry;
      const peers = Object.keys(entry.peerDependencies ?? {}).filter(
        (name) => entry.peerDependenciesMeta?.[name]?.optional !== true,
      );
      for (const name of [
        ...Object.keys(entry.dependencies ?? {}),
        ...Object.keys(entry.optionalDependencies ?? {}),
        ...peers,
      ])
        open.push(this.seenFrom(place, name));
    }
    const inOrder = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
    return { name: manifest.name, version: manifest.version, lockfileVersion: 3, requires: true, packages: inOrder };
  }

  private seenFrom(place: string, name: string): string {
    for (let at = place; ; at = at.includes('/') ? posix.dirname(at) : '') {
      const candidate = posix.join(at, 'node_modules', name);
      if (this.locked.has(candidate)) return candidate;
      if (at === '') return candidate;
    }
  }

  /** Fills a `node_modules` as a lock wants it. A package that the repository does not install is stood in for by an empty one. */
  fill(home: string, lock: { packages: Record<string, Locked> }): void {
    if (existsSync(home)) return;
    const draft = `${home}-${randomUUID()}`;
    const places = Object.keys(lock.packages).filter((place) => place !== '');
    for (const place of places.sort()) {
      const source = join(this.root, place);
      if (existsSync(source)) linkTree(source, join(draft, place));
      else if (!this.locked.has(place)) {
        mkdirSync(join(draft, place), { recursive: true });
        writeFileSync(
          join(draft, place, 'package.json'),
          JSON.stringify({ name: place.replace(/^.*node_modules\//, ''), version: lock.packages[place]!.version }),
        );
        writeFileSync(join(draft, place, 'index.js'), 'module.exports = {};\n');
      }
    }
    const bin = join(draft, 'node_modules', '.bin');
    mkdirSync(bin, { recursive: true });
    for (const name of readdirSync(join(this.root, 'node_modules', '.bin'))) {
      const target = readlinkSync(join(this.root, 'node_modules', '.bin', name));
      if (existsSync(join(bin, target))) symlinkSync(target, join(bin, name));
    }
    for (const cache of toolCaches) mkdirSync(join(draft, 'node_modules', cache));
    try {
      renameSync(draft, home);
    } catch (error) {
      rmSync(draft, { recursive: true, force: true });
      if (!existsSync(home)) throw error;
    }
  }
}

/** The same files under other names; copied where the two places are on different disks. */
function linkTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.name === 'node_modules') continue; // what is nested has a place of its own in the lock
    if (entry.isDirectory()) linkTree(source, target);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else if (entry.isFile() && (lstatSync(source).mode & 0o004) !== 0) {
      try {
        linkSync(source, target);
      } catch {
        copyFileSync(source, target); // another disk, or one without links
      }
    } else if (entry.isFile()) {
      copyFileSync(source, target);
      chmodSync(target, lstatSync(source).mode | 0o044);
    }
  }
}
