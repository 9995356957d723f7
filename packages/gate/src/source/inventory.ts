import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceTree } from './tree.ts';

/** What a tree holds at each path: what it is (`file`, `program`, or where a link points), how large, and a digest of its content. */
export type Inventory = ReadonlyMap<string, readonly [kind: string, size: number, digest: string]>;

/** Beyond these, knowing what is the same costs more than it saves. */
const mostFiles = 10_000;
const mostBytes = 256 * 1024 * 1024;

/** Null where there is too much of it. */
export function inventoryOf({ dir, files }: Pick<SourceTree, 'dir' | 'files'>): Inventory | null {
  if (files.size > mostFiles) return null;
  const found = new Map<string, readonly [string, number, string]>();
  let bytes = 0;
  for (const [path, link] of files) {
    if (link !== null) {
      found.set(path, [`-> ${link}`, 0, '']);
      continue;
    }
    const { mode, size } = lstatSync(join(dir, path));
    bytes += size;
    if (bytes > mostBytes) return null;
    const digest = createHash('sha256')
      .update(readFileSync(join(dir, path)))
      .digest('base64url');
    found.set(path, [(mode & 0o111) === 0 ? 'file' : 'program', size, digest]);
  }
  return found;
}

/** Paths that do not hold the same in both. */
export const differing = (one: Inventory, other: Inventory): string[] =>
  [...new Set([...one.keys(), ...other.keys()])]
    .filter((path) => {
      const [a, b] = [one.get(path), other.get(path)];
      return a === undefined || b === undefined || a.some((each, at) => each !== b[at]);
    })
    .sort();
