import { posix } from 'node:path';
import ts from 'typescript';
import type { FileChange } from '../source/changes.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { parseScript } from '../source/functions.ts';
import { isScript, isTestFile } from '../source/paths.ts';
import { pythonLines } from '../source/python.ts';
import type { SourceTree } from '../source/tree.ts';

/** Something of the project itself that a document names and that is not there. */
export interface Unkept {
  path: string;
  line: number;
  what: string;
}

/** What tells of what was, or of what is to be. */
const ofOtherTimes =
  /(?:change-?log|changes|history|news|release|migrat|upgrad|deprecat|roadmap|todo|proposal)[^/]*$|(?:^|\/)(?:adrs?|decisions?|rfcs?|proposals?|plans?|specs?|archive)\//i;

interface Block {
  language: string;
  lines: { line: number; text: string }[];
}
function blocksIn(text: string): Block[] {
  const blocks: Block[] = [];
  let open: (Block & { mark: string }) | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^\s*(?:>\s*)?(`{3,}|~{3,})\s*([\w+-]*)/.exec(line);
    if (fence !== null && open === null) open = { mark: fence[1]!, language: fence[2]!.toLowerCase(), lines: [] };
    else if (fence !== null && open !== null && fence[1]!.startsWith(open.mark)) {
      blocks.push(open);
      open = null;
    } else open?.lines.push({ line: index + 1, text: line });
  }
  return blocks;
}

interface Package {
  folder: string;
  name: string;
  manifest: Record<string, unknown>;
}
const notOurs = /(?:^|\/)(?:node_modules|fixtures|__fixtures__|templates?|testdata)\//;
const packagesIn = (tree: SourceTree): Package[] =>
  [...tree.files.keys()].flatMap((path) => {
    if (posix.basename(path) !== 'package.json' || notOurs.test(path)) return [];
    const manifest = tree.json(path);
    const name = manifest?.['name'];
    return manifest === null || typeof name !== 'string' ? [] : [{ folder: posix.dirname(path), name, manifest }];
  });
const within = (path: string, folder: string): boolean => folder === '.' || path.startsWith(`${folder}/`);

/** All that a script lets others use; null where that cannot be told from its text. */
function exportsOf(tree: SourceTree, path: string): Set<string> | null {
  const text = tree.text(path);
  if (text === null || text.length >= mostSourceBytes) return null;
  const file = parseScript(path, text);
  const names = new Set<string>();
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
      if (exportClause === undefined)
        unknown ||= moduleSpecifier === undefined || !moduleSpecifier.getText(file).slice(1).startsWith('.'); // prettier-ignore
      else if (ts.isNamespaceExport(exportClause)) names.add(exportClause.name.text);
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
    if (ts.isCallExpression(node) && /(?:define\w*|assign|__export\w*)$/i.test(node.expression.getText(file)) && /^(?:module\.)?exports\b/.test(node.arguments[0]?.getText(file) ?? '')) unknown = true; // prettier-ignore
    ts.forEachChild(node, visit);
  };
  visit(file);
  return unknown ? null : names;
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
  let some = false;
  for (const path of tree.files.keys()) {
    if (!within(path, folder) || isTestFile(path) || notOurs.test(path)) continue;
    if (inner.some((each) => within(path, each.folder))) continue;
    if (/\.(?:vue|svelte|node|wasm|coffee)$/.test(path)) unknown = true;
    if (!isScript(path) && !/\.d\.[mc]?ts$/.test(path)) continue;
    some = true;
    const exported = exportsOf(tree, path);
    if (exported === null) unknown = true;
    else for (const name of exported) names.add(name);
  }
  return (name) => names.has(name) || unknown || !some || name === 'default';
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
    const { line } = block.lines[file.getLineAndCharacterOfPosition(node.getStart(file)).line]!;
    found.push({ path, line, what });
  };
  const look = (specifier: ts.StringLiteralLike, names: readonly ts.Node[], text: (node: ts.Node) => string): void => {
    const target = specifier.text;
    if (target.startsWith('.')) {
      const file = fileAt(tree, path, target);
      const exported = file === null ? null : exportsOf(tree, file);
      // What is passed on with `export *` is not followed.
      if (file === null || exported === null || /\bexport\s*\*/.test(tree.text(file) ?? '')) return;
      for (const name of names) if (text(name) !== 'default' && !exported.has(text(name))) report(name, `${text(name)}, which ${file} does not export`); // prettier-ignore
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
    const at = block.lines.indexOf(shown[line - 1]!);
    const report = (what: string): void => void found.push({ path, line: block.lines[at]?.line ?? 1, what });
    const file = [`${place}.py`, `${place}/__init__.py`].find((each) => tree.has(each));
    if (file === undefined) {
      const folder = [...tree.files.keys()].some(
        (each) => each.startsWith(`${place}/`) || each.startsWith(`${place}.`),
      );
      if (!folder) report(`${wanted}, which is no module of ${top}`);
      continue;
    }
    const source = tree.text(file) ?? '';
    if (/__getattr__|\bimport\s*\*|globals\(\)|importlib/.test(source)) continue;
    for (const part of (names ?? '').replace(/[()]/g, '').split(',')) {
      const [name = ''] = part.trim().split(/\s+as\s+/);
      if (!/^\w+$/.test(name)) continue;
      const isModule = [...tree.files.keys()].some((each) => each.startsWith(`${place}/${name}/`) || each.startsWith(`${place}/${name}.`)); // prettier-ignore
      const said = pythonLines(source).some(({ bare }) => new RegExp(`\\b${name}\\b`).test(bare) && /^(?:async\s+def|def|class|from|import|@|[\w, ]+\s*(?::|=)|for|with|try|if|else)/.test(bare)); // prettier-ignore
      if (!isModule && !said) report(`${name}, which ${wanted} does not have`);
    }
  }
  return found;
}

const placeholder = /^(?:scripts?|name|script-?name|task|commands?|something|your-.*|my-.*|foo|bar|x)$/i;
/** `npm run X`, `npx X`: of a project of the reader's own, where the example makes one or goes there. */
const elsewhere = (tree: SourceTree, text: string): boolean =>
  /\b(?:npm|pnpm|yarn|bun)\s+(?:create|init)\b|\bnpx\s+(?:create-|degit)|\bgit\s+clone\b/.test(text) ||
  [...text.matchAll(/(?:^|[\s;&])cd\s+(?:\.\/)?([^\s;&`]+)/g)].some(([, folder]) => ![...tree.files.keys()].some((each) => each.startsWith(`${folder!.replace(/\/$/, '')}/`))); // prettier-ignore

function ofCommands(
  tree: SourceTree,
  path: string,
  at: readonly { line: number; text: string }[],
  own: readonly Package[],
): Unkept[] {
  const found: Unkept[] = [];
  const scripts = new Set(
    own.flatMap(({ manifest }) => Object.keys((manifest['scripts'] as Record<string, unknown> | undefined) ?? {})),
  );
  const all = tree.text(path) ?? '';
  for (const { line, text } of at) {
    for (const [whole, name = ''] of text.matchAll(
      /\b(?:npm|pnpm|yarn|bun)\s+(?:(?:-w|--workspace|--prefix|-C|--filter)[= ]\S+\s+|-\S+\s+)*run(?:-script)?\s+(?:(?:-w|--workspace|--prefix|--filter)[= ]\S+\s+|-\S+\s+)*([A-Za-z][\w:.-]*)(?![\w<{$*/])/g,
    ))
      if (
        !scripts.has(name) &&
        !placeholder.test(name) &&
        !whole.includes('--if-present') &&
        !text.includes('--if-present') &&
        !all.includes(`"${name}":`)
      )
        // prettier-ignore
        found.push({ path, line, what: `${whole.replace(/\s+/g, ' ')}, and no package script is called so` });
    for (const [whole, name = ''] of text.matchAll(/\bnpx\s+(?:-\S+\s+)*(@?[\w./-]+)(?=$|[\s@`])/g)) {
      const meant = own.find((each) => each.name === name);
      if (meant !== undefined && meant.manifest['bin'] === undefined && meant.manifest['directories'] === undefined)
        found.push({ path, line, what: `${whole.trim()}, and ${name} has no program (“bin”) to start` });
    }
  }
  return found;
}

/** What documents say of the project itself on lines that the change adds, and that is not so. */
export function unkeptIn(
  tree: SourceTree,
  changes: readonly FileChange[],
  isProse: (path: string) => boolean,
): Unkept[] {
  const found: Unkept[] = [];
  let own: Package[] | undefined;
  for (const { path, status, addedLines } of changes) {
    if (status === 'removed' || !isProse(path) || ofOtherTimes.test(path) || notOurs.test(path)) continue;
    const text = tree.text(path) ?? '';
    if (text.length > mostSourceBytes) continue;
    own ??= packagesIn(tree);
    const blocks = blocksIn(text).filter(({ lines }) => lines.some(({ line }) => addedLines.has(line)));
    const fenced = new Set(blocksIn(text).flatMap(({ lines }) => lines.map(({ line }) => line)));
    const said: Unkept[] = [];
    for (const block of blocks) {
      const all = block.lines.map((each) => each.text).join('\n');
      if (/^(?:[mc]?[jt]sx?|javascript|typescript)$/.test(block.language)) said.push(...ofScripts(tree, path, block, own));
      else if (/^(?:py|python3?|pycon)$/.test(block.language)) said.push(...ofPython(tree, path, block));
      else if (own.length > 0 && !elsewhere(tree, all)) said.push(...ofCommands(tree, path, block.lines, own)); // prettier-ignore
    }
    const inline = text
      .split('\n')
      .flatMap((each, index) =>
        fenced.has(index + 1)
          ? []
          : [...each.matchAll(/`([^`]+)`/g)].map(([, code]) => ({ line: index + 1, text: code! })),
      );
    if (own.length > 0) said.push(...ofCommands(tree, path, inline.filter(({ line, text: code }) => addedLines.has(line) && !elsewhere(tree, code)), own)); // prettier-ignore
    found.push(...said.filter(({ line }) => addedLines.has(line)));
  }
  return found;
}
