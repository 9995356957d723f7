import { posix } from 'node:path';
import type { FileChange } from './changes.ts';
import { isPython } from './paths.ts';
import { isProse } from './surroundings.ts';
import { pythonLines } from './python.ts';
import type { SourceTree } from './tree.ts';

/** Beyond this, reading every import costs more than it saves. */
const mostFiles = 2000;

interface Imports {
  /** Modules and packages, with `/` for `.`; what a name is relative to is left out, so that it may mean more than it does. */
  readonly modules: ReadonlySet<string>;
  /** Those that are held by a name: whatever lies below a package can be reached through it, whoever has loaded it. */
  readonly held: ReadonlySet<string>;
}

/** Null where a line that speaks of imports is not understood. */
function importsOfPython(text: string): Imports | null {
  const modules = new Set<string>();
  const held = new Set<string>();
  const add = (dotted: string, hold: 'first' | 'all' | 'none'): void => {
    const parts = dotted.split('.').filter((part) => part !== '');
    for (let length = 1; length <= parts.length; length++) modules.add(parts.slice(0, length).join('/'));
    if (hold !== 'none' && parts.length > 0) held.add(parts[0]!);
    if (hold === 'all') held.add(parts.join('/'));
  };
  for (const { bare } of pythonLines(text)) {
    for (const statement of bare.replaceAll('\\', ' ').split(/[;:]/)) {
      if (!/\bimport\b/.test(statement)) continue;
      const [, from, names] = /^\s*(?:from\s+(\.*\s*[\w.]*)\s+)?import\s+([\w.,\s()*]+)$/u.exec(statement) ?? [];
      if (names === undefined || statement.match(/\bimport\b/g)!.length > 1) return null;
      if (from !== undefined) add(from, 'none');
      for (const each of names.replace(/[()]/g, ' ').split(',')) {
        const name = /^\s*(\*|[\w.]*)(?:\s+as\s+\w+)?\s*$/.exec(each)?.[1];
        if (name === undefined) return null;
        if (from === undefined) add(name, 'all');
        else if (name === '*') held.add(from.split('.').filter(Boolean).join('/'));
        else if (name !== '') {
          const whole = [...from.split('.'), name].map((part) => part.trim()).filter(Boolean);
          add(whole.join('.'), 'none');
          held.add(whole.join('/'));
        }
      }
    }
  }
  return { modules, held };
}

const moduleOf = (path: string): string => path.replace(/(?:\/__init__)?\.py$/, '');
const suffixesOf = (name: string): string[] => name.split('/').map((_part, at, all) => all.slice(at).join('/'));

/** The names by which modules are imported without a package around them: mypy looks in the folder that it is started in, and in `src`. */
export function topNamesOf(tree: SourceTree): ReadonlySet<string> | null {
  const names = new Set<string>();
  for (const [from, other] of [['', 'src/'], ['src/', '']] as const)
    for (const path of tree.files.keys()) {
      if (!isPython(path) || !path.startsWith(from) || (from === '' && path.startsWith(other))) continue;
      names.add(`${from} ${path.slice(from.length).split('/')[0]!.replace(/\.py$/, '')}`);
    }
  const bare = [...names].map((name) => name.split(' ')[1]!);
  return new Set(bare).size < bare.length ? null : names;
} // prettier-ignore

/**
 * The files, besides those of the change, on which it can depend what mypy says of the files that reach the change, and of itself: whoever imports it, by
 * whatever name may mean it, and all that these import. Null where that cannot be told from the text: stubs stand in front of modules, links, a name
 * that means one thing at the top and another in `src`, modules at the top that come or go, since anybody may mean these, packages as well.
 */
export function pythonTextsAround(tree: SourceTree, changes: readonly FileChange[]): ReadonlySet<string> | null {
  const paths = [...tree.files.keys()].filter((path) => isPython(path));
  if (paths.length > mostFiles || [...tree.files.keys()].some((path) => path.endsWith('.pyi'))) return null;
  if ([...tree.files.values()].some((link) => link !== null)) return null;
  if (new Set(paths.map((path) => path.toLowerCase())).size < paths.length || topNamesOf(tree) === null) return null;
  if (changes.some(({ path }) => !isPython(path) && !isProse(path))) return null;
  const modules = new Map<string, string[]>();
  const below = new Map<string, string[]>();
  const put = (into: Map<string, string[]>, name: string, path: string): void => {
    const known = into.get(name);
    if (known === undefined) into.set(name, [path]);
    else known.push(path);
  };
  for (const path of paths) {
    for (const name of suffixesOf(moduleOf(path))) put(modules, name, path);
    for (let at = posix.dirname(path); at !== '.'; at = posix.dirname(at))
      for (const name of suffixesOf(at)) put(below, name, path);
  }
  const named = new Map<string, string[]>();
  const importers = new Map<string, string[]>();
  for (const path of paths) {
    const imports = importsOfPython(tree.text(path) ?? '');
    if (imports === null) return null;
    const packages: string[] = [];
    for (let at = posix.dirname(path); at !== '.'; at = posix.dirname(at)) packages.push(`${at}/__init__.py`);
    const targets = new Set([
      ...packages.filter((each) => tree.has(each)),
      ...[...imports.modules].flatMap((name) => modules.get(name) ?? []),
      ...[...imports.held].flatMap((name) => below.get(name) ?? []),
    ]);
    named.set(path, [...targets]);
    for (const target of targets) put(importers, target, path);
  }
  const changed = new Set(changes.map(({ path }) => path));
  const reached = new Set(changed);
  for (const path of reached) for (const from of importers.get(path) ?? []) reached.add(from);
  for (const path of reached) for (const target of named.get(path) ?? []) reached.add(target);
  return new Set([...reached].filter((path) => tree.has(path) && !changed.has(path)));
}
