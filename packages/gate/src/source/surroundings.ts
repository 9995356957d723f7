import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import ts from 'typescript';
import type { FileChange } from './changes.ts';
import { isProductSource, isPython, isScript, isTestFile } from './paths.ts';
import { fileOf, importsIn } from './reached.ts';
import type { SourceTree } from './tree.ts';

const prose =
  /\.(?:md|mdx|markdown|rst|txt|adoc|png|jpe?g|gif|svg|ico|webp|pdf)$|(?:^|\/)(?:LICENSE|NOTICE|CODEOWNERS)$/i;
/** Looked at by people alone. */
export const isProse = (path: string): boolean => prose.test(path);
const locks = /(?:package-lock|npm-shrinkwrap)\.json$/;
/** Beyond this, reading every import costs more than it saves. */
const mostFiles = 3000;
const builtins: ReadonlySet<string> = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));
/** With these a program reads what no import names. */
const reading = /^(?:node:)?(?:fs|child_process|worker_threads|cluster|vm|module|repl|inspector|sqlite)(?:\/|$)/;
const readsByName =
  /\b(?:import|require)\s*\(\s*(?!['"])|\bimport\.meta\.(?:glob|dirname|filename)|\bgetBuiltinModule\b|\bcreateRequire\b|\bprocess\.(?:binding|dlopen)\b|\beval\s*\(|\bnew\s+Function\b/;
const readsInPython =
  /\b(?:open|exec|eval|compile|__import__)\s*\(|\b(?:pathlib|glob|os|io|subprocess|importlib|shutil|runpy|pkgutil)\b/;
const relative = /(['"`])(\.{1,2}\/[^'"`\s$]*)\1/g;

/**
 * The files, besides those of the change, on which it can depend what tests say about the change: settings, data, and what is reached by
 * imports from whatever reaches the change. Null where that cannot be told from the text: somebody loads by a computed name, reads files, or
 * imports what is not there before the build; or somebody anywhere imports by a name that may mean a file of the change.
 */
export function surroundingsOf(tree: SourceTree, changes: readonly FileChange[]): ReadonlySet<string> | null {
  if (tree.files.size > mostFiles) return null;
  const paths = [...tree.files.keys()];
  const changed = new Set(changes.map(({ path }) => path));
  const around = new Set(
    paths.filter(
      (path) =>
        !prose.test(path) &&
        (/(?:^|\/)conftest\.py$/.test(path) ||
          !(isScript(path) || isPython(path)) ||
          !(isProductSource(path) || isTestFile(path))),
    ),
  );
  const settings = [...around].filter((path) => !locks.test(path)).map((path) => tree.text(path) ?? '').join('\n'); // prettier-ignore
  for (const path of paths)
    if (
      isScript(path) &&
      settings.includes(
        path
          .split('/')
          .at(-1)!
          .replace(/\.\w+$/, ''),
      )
    )
      around.add(path);
  const packages = packagesOf(tree.json('package.json') ?? {});
  // Whoever imports by another name may reach the change, and is found by no name.
  for (const path of paths.filter(isScript)) {
    if (importsByAlias(tree, path)) return null;
    if (!around.has(path) && !importsAreKnown(tree, path, packages)) return null;
  }
  const named = new Map<string, string[]>();
  const importers = new Map<string, string[]>();
  for (const path of paths.filter((each) => isScript(each) || isPython(each))) {
    const targets = isPython(path) ? modulesOf(tree, path) : filesNamedIn(tree, path);
    named.set(path, targets);
    for (const target of targets) importers.set(target, [...(importers.get(target) ?? []), path]);
  }
  const reaching = new Set(changed);
  for (const path of reaching) for (const from of importers.get(path) ?? []) reaching.add(from);
  const reached = new Set(reaching);
  for (const path of reached) for (const target of named.get(path) ?? []) reached.add(target);
  for (const path of reached) {
    if (isPython(path) && readsInPython.test(tree.text(path) ?? '')) return null;
    if (!isScript(path)) continue;
    if (readsByName.test(tree.text(path) ?? '')) return null;
    if (importsIn(tree, path).some((name) => reading.test(name))) return null;
    if (!importsAreKnown(tree, path, packages)) return null;
  }
  for (const path of reached) if (tree.has(path)) around.add(path);
  for (const path of changed) around.delete(path);
  return around;
}

const isTsconfig = (path: string): boolean => /(?:^|\/)[jt]sconfig[^/]*\.json$/.test(path);
/** With these a name means something else than the file or the package of that name. */
const renames = /"(?:paths|baseUrl|rootDirs|references|plugins)"/;
const ofAllFiles = /\bdeclare\s+(?:global|module)\b|^\s*\/\/\/\s*<|^\s*export\s+as\s+namespace\b/m;
/** What it declares holds in files that do not import it. */
const isGlobal = (path: string, text: string): boolean =>
  ofAllFiles.test(text) ||
  !(
    /^\s*(?:import|export)\b/m.test(text) ||
    (/\.[cm]?jsx?$/.test(path) && /\brequire\s*\(|\bmodule\.exports\b|\bexports\./.test(text))
  );
/** A name without its ending may mean each of these. */
const stemOf = (path: string): string => path.replace(/(?:\.d)?\.\w+$/, '').replace(/(?:^|\/)index$/, '');

/**
 * The files, besides those of the change, on which it can depend what a compiler or a linter says of the files that reach it, and of itself. These
 * run nothing of it: modules see each other by imports only, so that what is computed or read while a program runs makes no difference, and what is
 * declared for all files does. Null where that cannot be told from the text.
 */
export function textsAround(tree: SourceTree, changes: readonly FileChange[]): ReadonlySet<string> | null {
  const paths = [...tree.files.keys()];
  if (paths.length > mostFiles || new Set(paths.map((path) => path.toLowerCase())).size < paths.length) return null;
  const manifest = tree.json('package.json') ?? {};
  if (manifest['workspaces'] !== undefined) return null;
  if (paths.some((path) => isTsconfig(path) && renames.test(tree.text(path) ?? ''))) return null;
  const packages = packagesOf(manifest);
  // Somebody who imports what only the build makes, or by another name, may reach anything.
  if (!paths.every((path) => !isScript(path) || importsAreKnown(tree, path, packages))) return null;
  const global = (path: string): boolean => isScript(path) && isGlobal(path, tree.text(path) ?? '');
  for (const { path } of changes)
    if (!prose.test(path) && (!isScript(path) || (tree.has(path) && global(path)))) return null;
  const around = new Set(
    paths.filter((path) => !prose.test(path) && (!(isProductSource(path) || isTestFile(path)) || global(path))),
  );
  const alike = new Map<string, string[]>();
  for (const path of paths) alike.set(stemOf(path), [...(alike.get(stemOf(path)) ?? []), path]);
  const named = new Map<string, string[]>();
  const importers = new Map<string, string[]>();
  for (const path of paths.filter(isScript)) {
    const targets = filesNamedIn(tree, path).flatMap((target) => alike.get(stemOf(target)) ?? []);
    named.set(path, targets);
    for (const target of targets) importers.set(target, [...(importers.get(target) ?? []), path]);
  }
  const changed = new Set(changes.map(({ path }) => path));
  const reaching = new Set(changed);
  for (const path of reaching) for (const from of importers.get(path) ?? []) reaching.add(from);
  const reached = new Set(reaching);
  for (const path of reached) for (const target of named.get(path) ?? []) reached.add(target);
  for (const path of reached) if (tree.has(path)) around.add(path);
  for (const path of changed) around.delete(path);
  return around;
}

const aliases = new WeakMap<SourceTree, (name: string) => boolean>();
/** Settings of bundlers and runners by which a name may mean something else; they are programs, and not read any further. */
const renamesInPrograms = /\b(?:alias|moduleNameMapper|modulePaths|moduleDirectories)\b/;

/** Names that settings of a compiler, or the project's own package, give to its files, though they look like those of packages. */
function aliasIn(tree: SourceTree): (name: string) => boolean {
  const known = aliases.get(tree);
  if (known !== undefined) return known;
  const manifest = tree.json('package.json') ?? {};
  const begins = typeof manifest['name'] === 'string' ? [manifest['name']] : [];
  let all = manifest['workspaces'] !== undefined;
  for (const path of tree.files.keys()) {
    if (/(?:^|\/)(?:[^/]*\.config\.[cm]?[jt]s|package\.json)$/.test(path)) all ||= renamesInPrograms.test(tree.text(path) ?? '');
    if (!isTsconfig(path)) continue;
    const { compilerOptions = {} } = Object(ts.parseConfigFileTextToJson(path, tree.text(path) ?? '').config) as { compilerOptions?: Record<string, unknown> };
    begins.push(...Object.keys(Object(compilerOptions['paths']) as object).map((name) => name.split('*')[0]!));
    if (typeof compilerOptions['baseUrl'] === 'string') {
      const from = posix.join(posix.dirname(path), compilerOptions['baseUrl']);
      for (const file of tree.files.keys()) {
        const inside = posix.relative(from, file);
        if (!inside.startsWith('..')) begins.push(inside.split('/')[0]!.replace(/\.\w+$/, ''));
      }
    }
  }
  const found = (name: string): boolean => all || begins.some((each) => name.startsWith(each));
  aliases.set(tree, found);
  return found;
} // prettier-ignore

/** Whether one of its imports looks like a package, and may mean a file. */
const importsByAlias = (tree: SourceTree, path: string): boolean =>
  importsIn(tree, path).some((name) => !/^[./]/.test(name) && !builtins.has(name) && aliasIn(tree)(name));

const packagesOf = (manifest: Record<string, unknown>): ReadonlySet<string> =>
  new Set(
    ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'].flatMap((kind) =>
      Object.keys(Object(manifest[kind]) as object),
    ),
  );

/** Each name that a script imports is Node's own, a file that is there, or a package. */
const importsAreKnown = (tree: SourceTree, path: string, packages: ReadonlySet<string>): boolean =>
  importsIn(tree, path).every((name) => {
    const parts = name.split('/');
    return (
      builtins.has(name) ||
      fileOf(tree, path, name) !== null ||
      packages.has(name.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!)
    );
  });

/** What a script imports, and what it names otherwise by a path of its own. */
const filesNamedIn = (tree: SourceTree, path: string): string[] =>
  [...importsIn(tree, path), ...[...(tree.text(path) ?? '').matchAll(relative)].map((hit) => hit[2]!)].flatMap(
    (name) => fileOf(tree, path, name) ?? [],
  );

/** The modules that a Python file may mean, wherever the path settings may find them, with the packages around them. */
function modulesOf(tree: SourceTree, path: string): string[] {
  const text = tree.text(path) ?? '';
  const dotted = new Set<string>();
  const add = (name: string): void => {
    const parts = name.split('.').filter((part) => part !== '');
    for (let length = 1; length <= parts.length; length++) dotted.add(parts.slice(0, length).join('/'));
  };
  for (const [, names] of text.matchAll(/^[^\S\n]*import[^\S\n]+([^\n#]+)/gm))
    for (const name of names!.split(',')) add(name.trim().split(/\s/)[0]!);
  for (const [, from, names] of text.matchAll(
    /^[^\S\n]*from[^\S\n]+(\S+)[^\S\n]+import[^\S\n]+(\([^)]*\)|[^\n#]+)/gm,
  )) {
    add(from!);
    for (const name of names!.replace(/[()\s]+/g, ' ').split(',')) add(`${from!}.${name.trim().split(' ')[0]!}`);
  }
  return [...tree.files.keys()].filter((each) => {
    if (!isPython(each)) return false;
    const module = each.replace(/(?:\/__init__)?\.py$/, '');
    return [...dotted].some((name) => module === name || module.endsWith(`/${name}`));
  });
}
