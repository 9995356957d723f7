import { posix } from 'node:path';
import type { Reads } from '../sandbox/watch.ts';
import { differing, type Inventory } from './inventory.ts';
import type { SourceTree } from './tree.ts';

/** What a run has seen of a tree: what the kernel says, and the words of all that it read there. */
export interface Sight extends Reads {
  /** In small letters, each once, between spaces. */
  readonly words: string;
}

/** Files that are looked at by people. Anything else may be found by its name, by tools that look for more than anybody can list. */
const prose =
  /\.(?:md|mdx|markdown|rst|txt|adoc|png|jpe?g|gif|svg|ico|webp|pdf)$|(?:^|\/)(?:LICENSE|NOTICE|AUTHORS|CODEOWNERS)$/i;
/** Words without which nobody learns how large something is that they do not read. */
const asksForSizes =
  / (?:[lf]?stat(?:sync|s)?|statx|getsize|st_size|child_process|execa|exec[lv]\w*|spawn\w*|subprocess|popen|system|fork|du|ls|wc) /;
const mostWords = 1024 * 1024;

/**
 * What a command has seen of a tree; null where there is more than is worth keeping.
 * @param tree as it was before the command
 */
export function sightOf(reads: Reads, tree: SourceTree, line: string): Sight | null {
  const words = new Set<string>();
  const add = (text: string): void => {
    for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}_]+/gu)) words.add(word);
  };
  add(line);
  for (const path of reads.read) {
    const text = tree.text(path);
    // What is too large to be taken for text could name anything.
    if (text === null && tree.size(path) > 2 * 1024 * 1024) return null;
    add(text ?? '');
  }
  const joined = ` ${[...words].join(' ')} `;
  return joined.length > mostWords ? null : { ...reads, words: joined };
}

const partsOf = (name: string): string[] =>
  name
    .toLowerCase()
    .replace(/\.\w+$/, '')
    .split(/[^\p{L}\p{N}_]+/u)
    .filter((part) => part !== '');

const foldersOf = (tree: Inventory): ReadonlySet<string> => {
  const folders = new Set(['.']);
  for (const path of tree.keys())
    for (let at = posix.dirname(path); !folders.has(at); at = posix.dirname(at)) folders.add(at);
  return folders;
};

/**
 * What of the difference between two trees a run on the one has seen, or could have: null where the same run on the other can only come
 * out the same. Where it is not known it counts as seen. That is
 * - what was read, and what has become something else than a file;
 * - what has come or gone, unless it is prose, lies where nothing was listed, and is named by nothing that was read: whether
 *   something is there can be asked without a trace;
 * - another size, where something that was read asks for such things, and names it or has listed where it lies.
 */
export function seenDifference(sight: Sight, before: Inventory, after: Inventory): string | null {
  const [read, listed] = [new Set(sight.read), new Set(sight.listed)];
  const named = (path: string): boolean =>
    path.split('/').some((name) => partsOf(name).every((part) => sight.words.includes(part)));
  const folders = [foldersOf(before), foldersOf(after)] as const;
  const placeOf = (path: string): string => {
    let at = posix.dirname(path);
    while (!folders.every((each) => each.has(at))) at = posix.dirname(at);
    return at;
  };
  const saw = (path: string): boolean => {
    if (read.has(path)) return true;
    const [was, is] = [before.get(path), after.get(path)];
    if (was === undefined || is === undefined) return !prose.test(path) || listed.has(placeOf(path)) || named(path);
    if (was[0] !== is[0]) return true;
    return was[1] !== is[1] && asksForSizes.test(sight.words) && (named(path) || listed.has(posix.dirname(path)));
  };
  return differing(before, after).find(saw) ?? null;
}
