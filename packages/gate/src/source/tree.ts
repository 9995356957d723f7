import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { breathe } from '../breath.ts';

/** No check looks into a larger file; one that a change brings is said to be one. */
export const mostReadBytes = 64 * 1024 * 1024;

function sameBytes(one: string, other: string): boolean {
  const files = [one, other].map((path) => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)) as [
    number,
    number,
  ];
  try {
    const { size } = fstatSync(files[0]);
    if (size !== fstatSync(files[1]).size) return false;
    const atOnce = Math.min(size, 1024 * 1024) + 1;
    const [a, b] = [Buffer.allocUnsafe(atOnce), Buffer.allocUnsafe(atOnce)];
    for (;;) {
      const [readA, readB] = [readSync(files[0], a), readSync(files[1], b)];
      if (readA !== readB || a.compare(b, 0, readB, 0, readA) !== 0) return false;
      if (readA === 0) return true;
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}

/**
 * The files of a checked-out tree, read as data that nobody trusts: links are listed by where they point and never followed,
 * so a link in a change cannot make the gate read or copy the host's files.
 */
export class SourceTree {
  readonly dir: string;
  /** Path to where a link points, or null for a plain file. */
  readonly files: ReadonlyMap<string, string | null>;
  private readonly texts = new Map<string, string | null>();

  constructor(dir: string) {
    this.dir = dir;
    const files = new Map<string, string | null>();
    const walk = (folder: string): void => {
      for (const entry of readdirSync(join(dir, folder), { withFileTypes: true })) {
        const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
        if (entry.name === '.git' || path === 'node_modules') continue;
        if (entry.isDirectory()) walk(path);
        else if (entry.isSymbolicLink()) files.set(path, readlinkSync(join(dir, path)));
        else if (entry.isFile()) files.set(path, null);
      }
    };
    walk('');
    this.files = files;
  }

  has(path: string): boolean {
    return this.files.has(path);
  }

  /** The text of a plain file; null for a link, a binary file, one over 2 MiB or none. */
  text(path: string): string | null {
    const known = this.texts.get(path);
    if (known !== undefined) return known;
    let text: string | null = null;
    if (this.files.get(path) === null) {
      const file = openSync(join(this.dir, path), constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        if (fstatSync(file).size <= 2 * 1024 * 1024) {
          const bytes = readFileSync(file);
          text = bytes.includes(0) ? null : bytes.toString('utf8');
        }
      } finally {
        closeSync(file);
      }
    }
    this.texts.set(path, text);
    return text;
  }

  /** The text of a plain file that a tool may have written, which can be larger than what anybody reads. */
  wholeText(path: string): string | null {
    const text = this.text(path);
    if (text !== null || this.files.get(path) !== null || this.size(path) > mostReadBytes / 2) return text;
    const bytes = readFileSync(join(this.dir, path));
    return bytes.includes(0) ? null : bytes.toString('utf8');
  }

  /** What a path holds: bytes as text, or a link's target; null for none, and for a file that is too large to be looked at. */
  content(path: string): string | null {
    const link = this.files.get(path);
    if (link === undefined || this.size(path) > mostReadBytes) return null;
    return link === null ? readFileSync(join(this.dir, path)).toString('latin1') : `link:${link}`;
  }

  /** In bytes; 0 for a link, or none. */
  size(path: string): number {
    return this.files.get(path) === null ? lstatSync(join(this.dir, path)).size : 0;
  }

  /** Whether both hold the same at this path, of whatever size. */
  sameIn(other: SourceTree, path: string): boolean {
    const link = this.files.get(path);
    if (link === undefined || link !== other.files.get(path)) return false;
    return link !== null || sameBytes(join(this.dir, path), join(other.dir, path));
  }

  json(path: string, text: string | null = this.text(path)): Record<string, unknown> | null {
    try {
      const value: unknown = JSON.parse(text ?? '');
      return value !== null && typeof value === 'object' && !Array.isArray(value)
        ? (value as Record<string, unknown>)
        : null;
    } catch {
      return null;
    }
  }
}

/** Beside other work, however much it is. A run may leave folders that only it could open: these are left for whoever owns the folder around it. */
export const discard = async (folder: string): Promise<void> =>
  await rm(folder, { recursive: true, force: true }).catch(() => undefined);

/**
 * Copies files, folders and links as they are, without git's own folder and packages that are mounted, pipes and devices; `overrides` replaces the
 * text of files on the way.
 */
export async function copyTree(
  from: string,
  to: string,
  overrides: ReadonlyMap<string, string> = new Map(),
  inside = '',
): Promise<void> {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const path = inside === '' ? entry.name : `${inside}/${entry.name}`;
    if (entry.name === '.git' || path === 'node_modules') continue;
    await breathe();
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    const text = overrides.get(path);
    if (text !== undefined) {
      writeFileSync(target, text);
    } else if (entry.isDirectory()) {
      await copyTree(source, target, overrides, path);
    } else if (entry.isSymbolicLink()) {
      symlinkSync(readlinkSync(source), target);
    } else if (entry.isFile()) {
      copyFileSync(source, target, constants.COPYFILE_FICLONE);
      chmodSync(target, (lstatSync(source).mode & 0o777) | 0o600);
    }
  }
}
