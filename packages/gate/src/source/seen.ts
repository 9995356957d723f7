import { posix } from 'node:path';
import type { Reads } from '../sandbox/watch.ts';
import { isSetting, keepToThemselves } from './apart.ts';
import { differing, type Inventory } from './inventory.ts';
import { isPython, isScript, isTestFile } from './paths.ts';
import type { SourceTree } from './tree.ts';

/** What a run has seen of a tree: what the kernel says, and the words of all that it read there. */
export interface Sight extends Reads {
  /** In small letters, each once, between spaces. */
  readonly words: string;
  /** Something that was read asks for files by names that need not stand in it. */
  readonly asks: boolean;
  /**
   * Test files that were run by name, each in a process or worker of its own, and of which nothing that was read reaches beyond that: no other
   * test file can tell whether they are run, and it was their runner that listed folders, in search of tests.
   */
  readonly apart?: boolean;
}

/** Files that are looked at by people. */
const prose =
  /\.(?:md|mdx|markdown|rst|txt|adoc|png|jpe?g|gif|svg|ico|webp|pdf)$|(?:^|\/)(?:LICENSE|NOTICE|AUTHORS|CODEOWNERS)$/i;
/** With these a program can ask for files that it does not name. */
const asksForFiles =
  /\b(?:import|require)\s*\(\s*(?!['"][^'"]*['"]\s*\))|\bimport\.meta\.(?:glob|resolve)|\b(?:from|import)\s*\(?\s*['"][^'"\n]*[%\\]|['"](?:node:)?(?:fs|child_process|worker_threads|cluster|vm|fs-extra|graceful-fs|execa|cross-spawn|shelljs|jiti|import-fresh|resolve(?:-from)?)(?:\/promises)?['"]|['"]node:(?:module|sqlite)['"]|\bcreateRequire\b|\bgetBuiltinModule\b|\bprocess\.(?:binding|dlopen)\b|\beval\s*\(|\bnew\s+Function\b/;
const asksInPython =
  /\b(?:open|exec|eval|compile|__import__)\s*\(|\b(?:pathlib|glob|os|subprocess|importlib|shutil|runpy|pkgutil)\b/;
/** Names that tools look for by themselves, whatever a project says: settings, what stands for a folder, what is loaded before all else. */
const lookedFor =
  /^\.|^node_modules$|^__|^(?:index|main|package|app|server|register|preload|globals?|env|test|tests|types?|babel|gulpfile|gruntfile|sitecustomize|usercustomize|conftest)$|config|rc$|setup|teardown|mock|hook|plugin|workspace|opts/i;
/** Words without which nobody learns how large something is that they do not read. */
const asksForSizes =
  / (?:[lf]?stat(?:sync|s)?|statx|getsize|st_size|child_process|execa|exec[lv]\w*|spawn\w*|subprocess|popen|system|fork|du|ls|wc) /;
const mostWords = 1024 * 1024;

/**
 * What a command has seen of a tree; null where there is more than is worth keeping.
 * @param tree as it was before the command
 * @param separate whether it runs test files by name, each in a process or worker of its own
 */
export function sightOf(reads: Reads, tree: SourceTree, line: string, { separate = false } = {}): Sight | null {
  const words = new Set<string>();
  let asks = false;
  const add = (text: string, path: string): void => {
    asks ||= (isPython(path) ? asksInPython : asksForFiles).test(text);
    for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}_]+/gu)) words.add(word);
  };
  add(line, '');
  for (const path of reads.read) {
    const text = tree.text(path);
    // What is too large to be taken for text could name anything.
    if (text === null && tree.size(path) > 2 * 1024 * 1024) return null;
    add(text ?? '', path);
  }
  const joined = ` ${[...words].join(' ')} `;
  if (joined.length > mostWords) return null;
  const apart = separate && !asks && keepToThemselves(tree, reads.read);
  return { ...reads, words: joined, asks, ...(apart ? { apart } : {}) };
}

/** The words of a name; numbers are counted up, and said by nobody. */
const partsOf = (name: string): string[] =>
  name
    .toLowerCase()
    .replace(/\.\w+$/, '')
    .split(/[^\p{L}]+/u)
    .filter((part) => part !== '');

/**
 * A module that is loaded by who names it and by nobody else. In Python what lies beside packages may stand for a module of the same name
 * that something installed imports; what lies in one may not.
 */
const isPlainModule = (path: string, place: string, both: (path: string) => boolean): boolean => {
  // What lies in a folder that has come or gone with it is found by that folder's name, or not at all.
  const [first] = posix.relative(place, path).split('/');
  if (!(isScript(path) || isPython(path)) || lookedFor.test(first!.replace(/\.\w+$/, '')) || isSetting(path))
    return false;
  return isScript(path) || isTestFile(path) || both(posix.join(place, '__init__.py'));
};

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
 * - what has come or gone, unless it is prose, or a plain module where nothing asks for files, lies where nothing was listed but in search of other tests, and
 *   is named by nothing that was read: whether something is there can be asked without a trace. Anything else may be found by its name, by tools that look for more than anybody can list;
 * - another size, where something that was read asks for such things, and names it or has listed where it lies.
 */
export function seenDifference(sight: Sight, before: Inventory, after: Inventory): string | null {
  const [read, listed] = [new Set(sight.read), new Set(sight.listed)];
  /** Whether the first of these names is said: without it nothing below can be asked for. */
  const named = (path: string): boolean => partsOf(path.split('/')[0]!).every((part) => sight.words.includes(part));
  const folders = [foldersOf(before), foldersOf(after)] as const;
  const placeOf = (path: string): string => {
    let at = posix.dirname(path);
    while (!folders.every((each) => each.has(at))) at = posix.dirname(at);
    return at;
  };
  const saw = (path: string): boolean => {
    if (read.has(path)) return true;
    const [was, is] = [before.get(path), after.get(path)];
    if (was === undefined || is === undefined) {
      const place = placeOf(path);
      const plain = !sight.asks && isPlainModule(path, place, (each) => before.has(each) && after.has(each));
      const unasked = prose.test(path) || plain;
      // The folders above were there before, and still are.
      return !unasked || (listed.has(place) && sight.apart !== true) || named(posix.relative(place, path));
    }
    if (was[0] !== is[0]) return true;
    const folder = posix.dirname(path);
    return was[1] !== is[1] && asksForSizes.test(sight.words) && (named(posix.basename(path)) || listed.has(folder));
  };
  return differing(before, after).find(saw) ?? null;
}
