import { posix } from 'node:path';
import ts from 'typescript';
import { mostSourceBytes } from '../source/fresh.ts';
import { parseScript } from '../source/functions.ts';
import { isScript, isTestFile } from '../source/paths.ts';
import { pythonLines } from '../source/python.ts';
import type { SourceTree } from '../source/tree.ts';
import type { CheckContext } from './check.ts';

/** Something of the project itself that a document names and that is not there. */
export interface Unkept {
  path: string;
  line: number;
  what: string;
}

/** Documents that tell of what was, or of what is to be. */
export const ofOtherTimes =
  /(?:change-?log|changes|history|news|release|migrat|upgrad|deprecat|roadmap|todo|proposal)[^/]*$|(?:^|\/)(?:adrs?|decisions?|rfcs?|proposals?|plans?|specs?|archive)\//i;

interface Block {
  language: string;
  lines: { line: number; text: string }[];
}
/** Fenced code; a fence that is never closed goes on to the end, as it does where the page is shown. */
export function blocksIn(text: string): Block[] {
  const blocks: Block[] = [];
  let open: (Block & { mark: string }) | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^(`{3,}|~{3,})\s*([\w+-]*)/.exec(line.trimStart().replace(/^>/, '').trimStart());
    if (fence !== null && open === null) open = { mark: fence[1]!, language: fence[2]!.toLowerCase(), lines: [] };
    else if (fence !== null && open !== null && fence[1]!.startsWith(open.mark)) {
      blocks.push(open);
      open = null;
      // Others end lines with these as well, and would count otherwise.
    } else open?.lines.push({ line: index + 1, text: line.replace(/[\r\u2028\u2029]/g, ' ') });
  }
  if (open !== null) blocks.push(open);
  return blocks;
}

interface Package {
  folder: string;
  name: string;
  manifest: Record<string, unknown>;
}
export const notOurs = /(?:^|\/)(?:node_modules|fixtures|__fixtures__|templates?|testdata)\//;
const packagesIn = (tree: SourceTree): Package[] =>
  [...tree.files.keys()].flatMap((path) => {
    if (posix.basename(path) !== 'package.json' || notOurs.test(path)) return [];
    const manifest = tree.json(path);
    const name = manifest?.['name'];
    return manifest === null || typeof name !== 'string' ? [] : [{ folder: posix.dirname(path), name, manifest }];
  });

/** The scripts of all packages, named or not; null where there are none to know, or one cannot be read. */
function scriptsIn(tree: SourceTree): Set<string> | null {
  const manifests = [...tree.files.keys()].filter(
    (path) => posix.basename(path) === 'package.json' && !/(?:^|\/)node_modules\//.test(path),
  );
  const names = new Set<string>();
  for (const path of manifests) {
    const manifest = tree.json(path);
    if (manifest === null) return null;
    const scripts = manifest['scripts'];
    if (scripts !== null && typeof scripts === 'object') for (const name of Object.keys(scripts)) names.add(name);
  }
  return manifests.length === 0 ? null : names;
}

const placesOnce = new WeakMap<SourceTree, Set<string>>();
/** All folders, and all files by their names up to each point. */
function placesIn(tree: SourceTree): Set<string> {
  const known = placesOnce.get(tree);
  if (known !== undefined) return known;
  const places = new Set<string>();
  for (const path of tree.files.keys())
    for (let at = 1; at < path.length; at++)
      if (path[at] === '/' || (path[at] === '.' && !path.includes('/', at))) places.add(path.slice(0, at));
  placesOnce.set(tree, places);
  return places;
}

const within = (path: string, folder: string): boolean => folder === '.' || path.startsWith(`${folder}/`);

interface Exports {
  names: Set<string>;
  /** Where the files lie whose exports are passed on whole, without endings. */
  passedOn: string[];
}
const bare = (path: string): string => path.replace(/(?:\.d)?\.[mc]?[jt]sx?$/, '');

const readOnce = new WeakMap<SourceTree, Map<string, Exports | null>>();
/** All that a script lets others use; null where that cannot be told from its text. */
function exportsOf(tree: SourceTree, path: string): Exports | null {
  const known = readOnce.get(tree) ?? new Map<string, Exports | null>();
  readOnce.set(tree, known);
  const found = known.get(path);
  if (found !== undefined) return found;
  const read = readFile(tree, path);
  known.set(path, read);
  return read;
}

function readFile(tree: SourceTree, path: string): Exports | null {
  const text = tree.text(path);
  if (text === null || text.length >= mostSourceBytes) return null;
  const file = parseScript(path, text);
  const names = new Set<string>();
  const passedOn: string[] = [];
  let unknown = false;
  const bound = (name: ts.BindingName): void => {
    if (ts.isIdentifier(name)) names.add(name.text);
    else for (const each of name.elements) if (ts.isBindingElement(each)) bound(each.name);
  };
  const visit = (node: ts.Node): void => {
    const exported =
      ts.canHaveModifiers(node) &&
      ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
    if (exported && ts.isVariableStatement(node)) for (const each of node.declarationList.declarations) bound(each.name);
    else if (exported && 'name' in node && node.name !== undefined && ts.isIdentifier(node.name)) names.add((node.name).text); // prettier-ignore
    if (ts.isExportAssignment(node)) unknown ||= node.isExportEquals === true;
    if (ts.isExportDeclaration(node)) {
      const { exportClause, moduleSpecifier } = node;
      if (exportClause === undefined) {
        const from =
          moduleSpecifier !== undefined && ts.isStringLiteralLike(moduleSpecifier) ? moduleSpecifier.text : '';
        if (from.startsWith('.')) passedOn.push(bare(posix.join(posix.dirname(path), from)));
        else unknown = true;
      } else if (ts.isNamespaceExport(exportClause)) names.add(exportClause.name.text);
      else for (const each of exportClause.elements) names.add(each.name.text);
    }
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
      const left = node.left.getText(file);
      const property = /^(?:module\.)?exports\.([\w$]+)$/.exec(left)?.[1];
      if (property !== undefined) names.add(property);
      else if (left === 'module.exports' || left === 'exports') {
        if (!ts.isObjectLiteralExpression(node.right)) unknown = true;
        else
          for (const each of node.right.properties)
            if (each.name !== undefined && !ts.isComputedPropertyName(each.name)) names.add(each.name.getText(file));
            else unknown = true;
      }
    }
    if (ts.isCallExpression(node)) {
      const called = ts.isPropertyAccessExpression(node.expression) ? node.expression.name : node.expression;
      if (ts.isIdentifier(called) && /define|assign|__export/i.test(called.text) && /^(?:module\.)?exports\b/.test(node.arguments[0]?.getText(file) ?? '')) unknown = true; // prettier-ignore
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return unknown ? null : { names, passedOn };
}

const exportedOnce = new WeakMap<SourceTree, Map<string, (name: string) => boolean>>();
/** Tells of names whether a package lets others use them; of nothing that they are not where that cannot be told. */
function exportedBy(tree: SourceTree, of: Package, inner: readonly Package[]): (name: string) => boolean {
  const known = exportedOnce.get(tree) ?? new Map<string, (name: string) => boolean>();
  exportedOnce.set(tree, known);
  const isThere = known.get(of.folder) ?? readExports(tree, of, inner);
  known.set(of.folder, isThere);
  return isThere;
}

function readExports(tree: SourceTree, { folder }: Package, inner: readonly Package[]): (name: string) => boolean {
  const names = new Set<string>();
  let unknown = false;
  const read = new Set<string>();
  const wanted: string[] = [];
  for (const path of tree.files.keys()) {
    if (!within(path, folder) || isTestFile(path) || notOurs.test(path)) continue;
    if (inner.some((each) => within(path, each.folder))) continue;
    if (/\.(?:vue|svelte|node|wasm|coffee)$/.test(path)) unknown = true;
    if (!isScript(path) && !/\.d\.[mc]?ts$/.test(path)) continue;
    read.add(bare(path));
    const exported = exportsOf(tree, path);
    if (exported === null) unknown = true;
    else {
      for (const name of exported.names) names.add(name);
      wanted.push(...exported.passedOn);
    }
  }
  // What is passed on from a file that is made later, or lies elsewhere, may be anything.
  unknown ||= wanted.some((each) => !read.has(each) && !read.has(posix.join(each, 'index')));
  return (name) => names.has(name) || unknown || read.size === 0 || name === 'default';
}

/** Whether the entries of a package have this one: `kit/tools` of `kit`. */
function hasEntry({ manifest }: Package, below: string): boolean {
  const entries = manifest['exports'];
  if (entries === null || typeof entries !== 'object' || Array.isArray(entries)) return true;
  const keys = Object.keys(entries);
  return keys.every((key) => !key.startsWith('.')) || keys.some((key) => key === `./${below}` || key.includes('*'));
}

/** The file that a relative path in an example leads to, if it is there at all: else it is the reader's. */
function fileAt(tree: SourceTree, from: string, target: string): string | null {
  for (const base of [posix.dirname(from), '.']) {
    const place = posix.normalize(posix.join(base, target));
    const bare = place.replace(/\.[mc]?jsx?$/, '');
    const found = [place, ...['.ts', '.tsx', '.mts', '.js', '.mjs', '/index.ts', '/index.js'].map((end) => `${bare}${end}`)].find((each) => tree.has(each) && isScript(each)); // prettier-ignore
    if (found !== undefined) return found;
  }
  return null;
}

function ofScripts(tree: SourceTree, path: string, block: Block, own: readonly Package[]): Unkept[] {
  const file = parseScript('example.tsx', block.lines.map(({ text }) => text).join('\n'));
  const found: Unkept[] = [];
  const report = (node: ts.Node, what: string): void => {
    const { line } = block.lines[file.getLineAndCharacterOfPosition(node.getStart(file)).line] ?? block.lines[0]!;
    found.push({ path, line, what });
  };
  const look = (specifier: ts.StringLiteralLike, names: readonly ts.Node[], text: (node: ts.Node) => string): void => {
    const target = specifier.text;
    if (target.startsWith('.')) {
      const file = fileAt(tree, path, target);
      const exported = file === null ? null : exportsOf(tree, file);
      // What is passed on with `export *` is not followed.
      if (file === null || exported === null || exported.passedOn.length > 0) return;
      for (const name of names) if (text(name) !== 'default' && !exported.names.has(text(name))) report(name, `${text(name)}, which ${file} does not export`); // prettier-ignore
      return;
    }
    const from = own.find(({ name }) => target === name || target.startsWith(`${name}/`));
    if (from === undefined) return;
    const below = target.slice(from.name.length + 1);
    if (below !== '' && !hasEntry(from, below)) return report(specifier, `${target}, which ${from.name} has no entry for`); // prettier-ignore
    const isThere = exportedBy(
      tree,
      from,
      own.filter((each) => each !== from && within(each.folder, from.folder)),
    );
    for (const name of names)
      if (!isThere(text(name))) report(name, `${text(name)}, which ${from.name} does not export`);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteralLike(node.moduleSpecifier)) {
      const named = node.importClause?.namedBindings;
      const names = named !== undefined && ts.isNamedImports(named) ? named.elements : [];
      look(node.moduleSpecifier, names.map(({ propertyName, name }) => propertyName ?? name), (each) => each.getText(file)); // prettier-ignore
    }
    if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer !== undefined) {
      const value = ts.isAwaitExpression(node.initializer) ? node.initializer.expression : node.initializer;
      const [given] = ts.isCallExpression(value) ? value.arguments : [];
      if (ts.isCallExpression(value) && /^(?:require|import)$/.test(value.expression.getText(file)) && given !== undefined && ts.isStringLiteralLike(given)) // prettier-ignore
        look(given, node.name.elements.filter(({ dotDotDotToken }) => dotDotDotToken === undefined).map(({ propertyName, name }) => propertyName ?? name), (each) => each.getText(file)); // prettier-ignore
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

const saidOnce = new WeakMap<SourceTree, Map<string, Set<string> | null>>();
/** The words of lines by which a module of Python comes to have something; null where anything may be added when it runs. */
function saidIn(tree: SourceTree, file: string): Set<string> | null {
  const known = saidOnce.get(tree) ?? new Map<string, Set<string> | null>();
  saidOnce.set(tree, known);
  const found = known.get(file);
  if (found !== undefined) return found;
  const source = tree.text(file) ?? '';
  const words = /__getattr__|\bimport\s*\*|globals\(\)|importlib/.test(source) || source.length > mostSourceBytes ? null : new Set<string>(); // prettier-ignore
  if (words !== null)
    for (const { bare: line } of pythonLines(source))
      if (/^(?:(?:async|def|class|from|import|for|with|try|if|else)\b|@|[\w,\s()[\]*]+[:=])/.test(line.trimStart()))
        for (const [word] of line.matchAll(/\w+/g)) words.add(word);
  known.set(file, words);
  return words;
}

/** Modules of the project's own Python packages, at the top or below `src`. */
function ofPython(tree: SourceTree, path: string, block: Block): Unkept[] {
  const found: Unkept[] = [];
  const session = block.lines.some(({ text }) => text.startsWith('>>> '));
  const shown = block.lines.filter(({ text }) => !session || /^(?:>>>|\.\.\.) /.test(text));
  const lines = pythonLines(shown.map(({ text }) => (session ? text.slice(4) : text)).join('\n'));
  for (const { line, text } of lines) {
    const [, module, names] = /^from\s+([A-Za-z_][\w.]*)\s+import\s+(.+)$/.exec(text) ?? [];
    const wanted = module ?? /^import\s+([A-Za-z_][\w.]*)/.exec(text)?.[1];
    if (wanted === undefined) continue;
    const [top = '', ...rest] = wanted.split('.');
    const root = [top, `src/${top}`].find((each) => tree.has(`${each}/__init__.py`));
    if (root === undefined) continue;
    const place = [root, ...rest].join('/');
    const at = shown[line - 1]?.line ?? 1;
    const report = (what: string): void => void found.push({ path, line: at, what });
    const file = [`${place}.py`, `${place}/__init__.py`].find((each) => tree.has(each));
    if (file === undefined) {
      if (!placesIn(tree).has(place)) report(`${wanted}, which is no module of ${top}`);
      continue;
    }
    const said = saidIn(tree, file);
    if (said === null) continue;
    for (const part of (names ?? '').replace(/[()]/g, '').split(',')) {
      const [name = ''] = part.trim().split(/\s/, 1);
      if (/^\w+$/.test(name) && !placesIn(tree).has(`${place}/${name}`) && !said.has(name))
        report(`${name}, which ${wanted} does not have`);
    }
  }
  return found;
}

/** What is typed where the reader is; a workflow's steps run where it says. */
const isShell = /^(?:|sh|bash|zsh|fish|shell|console|shell-?session|terminal|powershell|ps1|bat|cmd)$/;
const placeholder = /^(?:scripts?|name|script-?name|task|commands?|something|your-.*|my-.*|foo|bar|x)$/i;
/** `npm run X`, `npx X`: of a project of the reader's own, where the example makes one or goes there. */
const elsewhere = (tree: SourceTree, text: string): boolean =>
  /\b(?:npm|pnpm|yarn|bun)\s+(?:create|init)\b|\bnpx\s+(?:create-|degit)|\bgit\s+clone\b/.test(text) ||
  [...text.matchAll(/(?:^|[\s;&])cd\s+(?:\.\/)?([^\s;&`]+)/g)].some(([, folder]) => !placesIn(tree).has(folder!.replace(/\/$/, ''))); // prettier-ignore

/** Options that take the next word along. */
const takesMore = /^(?:-w|--workspace|--prefix|-C|--filter)$/;
/** What scripts are usually called. Other words after `yarn run` and its like may be programs that a package brings. */
const usualScript =
  /^(?:start|build|dev|develop|tests?|lint|format|fmt|deploy|serve|watch|clean|setup|release|preview|check|typecheck|coverage|e2e|docs?|migrate|seed|generate|publish|bootstrap|compile|bundle|ci)(?:[:-]|$)|:/;

/** `npm run X` and `npx X` in a line, by its words. */
function startedIn(text: string): { by: string; whole: string; name: string }[] {
  const found: { by: string; whole: string; name: string }[] = [];
  for (const command of text.split(/[;&|()"'`]/)) {
    const words = command.split(/\s/).filter((word) => word !== '');
    for (const [begin, word] of words.entries()) {
      const by = /^\W*(npm|pnpm|yarn|bun|npx)$/.exec(word)?.[1];
      if (by === undefined) continue;
      let at = begin + 1;
      const skipOptions = (): void => {
        // Nobody gives more of them.
        while (at < begin + 20 && words[at]?.startsWith('-') === true) at += by !== 'npx' && takesMore.test(words[at]!) ? 2 : 1; // prettier-ignore
      };
      skipOptions();
      if (by !== 'npx') {
        if (!/^run(?:-script)?$/.test(words[at] ?? '')) continue;
        at++;
        skipOptions();
      }
      const said = (words[at]?.length ?? 0) > 200 ? '' : (words[at] ?? '');
      const name = (by === 'npx' ? /^(@?[^@]+)(?:@|$)/.exec(said)?.[1] : /^(.*?)[.,:!?]*$/.exec(said)?.[1]) ?? '';
      if (by === 'npx' ? /^@?[\w./-]+$/.test(name) : /^[A-Za-z](?:[\w:.-]*\w)?$/.test(name))
        found.push({ by, whole: [...words.slice(begin, at), name].join(' '), name });
    }
  }
  return found;
}

function ofCommands(
  path: string,
  at: readonly { line: number; text: string }[],
  own: readonly Package[],
  scripts: ReadonlySet<string>,
  written: ReadonlySet<string>,
): Unkept[] {
  const found: Unkept[] = [];
  for (const { line, text } of at)
    for (const { by, whole, name } of startedIn(text)) {
      if (by === 'npx') {
        const meant = own.find((each) => each.name === name);
        if (meant !== undefined && meant.manifest['bin'] === undefined && meant.manifest['directories'] === undefined)
          found.push({ path, line, what: `${whole}, and ${name} has no program (“bin”) to start` });
      } else if (
        !scripts.has(name) &&
        !placeholder.test(name) &&
        !written.has(name) &&
        !text.includes('--if-present') &&
        !/\.(?:[mc]?[jt]sx?|json|sh|py|html?|css)$/.test(name) &&
        (by === 'npm' || usualScript.test(name))
      )
        found.push({ path, line, what: `${whole}, and no package script is called so` });
    }
  return found;
}

/** Scripts that commands on a page start, but for those on lines that the change adds. */
const startedOn = (blocks: readonly Block[], addedLines: ReadonlySet<number>): string[] =>
  blocks
    .filter(({ language }) => isShell.test(language))
    .flatMap(({ lines }) => lines.filter(({ line }) => !addedLines.has(line)))
    .flatMap(({ text }) => startedIn(text))
    .filter(({ by }) => by !== 'npx')
    .map(({ name }) => name);

/** What documents say of the project itself on lines that the change adds, and that is not so. */
export function unkeptIn(
  { candidate: tree, against, changes }: Pick<CheckContext, 'candidate' | 'against' | 'changes'>,
  isProse: (path: string) => boolean,
): Unkept[] {
  const found: Unkept[] = [];
  let own: Package[] | undefined;
  let scripts: Set<string> | null = null;
  let former: Set<string> | null = null;
  for (const { path, status, addedLines } of changes) {
    if (status === 'removed' || !isProse(path) || ofOtherTimes.test(path) || notOurs.test(path)) continue;
    const text = tree.text(path) ?? '';
    if (text.length > mostSourceBytes) continue;
    if (own === undefined) {
      own = packagesIn(tree);
      scripts = scriptsIn(tree);
      former = against === null ? null : scriptsIn(against);
    }
    const all = blocksIn(text);
    const blocks = all.filter(({ lines }) => lines.some(({ line }) => addedLines.has(line)));
    // Scripts that the page itself tells to write.
    const written = new Set([...text.matchAll(/"([^"\n]{1,100})":/g)].map(([, key]) => key!));
    // A page below the first one, whose commands are not of this project, goes on with them.
    if (path.includes('/'))
      for (const name of startedOn(all, addedLines)) if (former?.has(name) !== true) written.add(name);
    const fenced = new Set(all.flatMap(({ lines }) => lines.map(({ line }) => line)));
    const said: Unkept[] = [];
    for (const block of blocks) {
      if (/^(?:[mc]?[jt]sx?|javascript|typescript)$/.test(block.language)) said.push(...ofScripts(tree, path, block, own));
      else if (/^(?:py|python3?|pycon)$/.test(block.language)) said.push(...ofPython(tree, path, block));
      else if (scripts !== null && isShell.test(block.language) && !elsewhere(tree, block.lines.map((each) => each.text).join('\n'))) said.push(...ofCommands(path, block.lines, own, scripts, written)); // prettier-ignore
    }
    const inline = text
      .split('\n')
      .flatMap((each, index) =>
        fenced.has(index + 1)
          ? []
          : [...each.matchAll(/`([^`]+)`/g)].map(([, code]) => ({ line: index + 1, text: code! })),
      );
    if (scripts !== null) said.push(...ofCommands(path, inline.filter(({ line, text: code }) => addedLines.has(line) && !elsewhere(tree, code)), own, scripts, written)); // prettier-ignore
    found.push(...said.filter(({ line }) => addedLines.has(line)));
  }
  return found;
}
