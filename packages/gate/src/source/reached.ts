import { posix } from 'node:path';
import ts from 'typescript';
import { ByContent } from './by-content.ts';
import { mostSourceBytes } from './fresh.ts';
import { parseScript } from './functions.ts';
import { isProductSource, isScript } from './paths.ts';
import type { SourceTree } from './tree.ts';

const endings = ['', '.ts', '.tsx', '.mts', '.cts', '.js', '.jsx', '.mjs', '.cjs', '.json'];
const inFolder = ['index.ts', 'index.tsx', 'index.mts', 'index.cts', 'index.js', 'index.mjs', 'index.cjs'];

/** `import type …`, and imports of which every name is marked so: gone when the program runs. */
const isForTypes = (node: ts.ImportDeclaration | ts.ExportDeclaration): boolean => {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  const clause = node.importClause;
  if (clause === undefined) return false;
  const named = clause.namedBindings;
  const all =
    named !== undefined &&
    ts.isNamedImports(named) &&
    named.elements.length > 0 &&
    named.elements.every((each) => each.isTypeOnly);
  return clause.phaseModifier === ts.SyntaxKind.TypeKeyword || (all && clause.name === undefined);
};

interface Named {
  readonly name: string;
  readonly forTypes: boolean;
}
const named = new ByContent<Named[]>();

/** What a file names in `import`, `export … from`, `import(…)`, `import … = require(…)` and `require(…)`, as written down. */
export const importsOf = (path: string, text: string, { types } = { types: true }): string[] =>
  named
    .get(path, text, () => namedIn(path, text))
    .filter(({ forTypes }) => types || !forTypes)
    .map(({ name }) => name);

function namedIn(path: string, text: string): Named[] {
  const file = parseScript(path, text);
  const found: Named[] = [];
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      if (ts.isStringLiteralLike(node.moduleSpecifier))
        found.push({ name: node.moduleSpecifier.text, forTypes: isForTypes(node) });
    } else if (ts.isExternalModuleReference(node)) {
      if (ts.isStringLiteralLike(node.expression)) found.push({ name: node.expression.text, forTypes: false });
    } else if (ts.isCallExpression(node)) {
      const [first] = node.arguments;
      const loads =
        node.expression.kind === ts.SyntaxKind.ImportKeyword ||
        (ts.isIdentifier(node.expression) && /^(?:require|createRequire)$/.test(node.expression.text));
      if (loads && first !== undefined && ts.isStringLiteralLike(first))
        found.push({ name: first.text, forTypes: false });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

const read = new WeakMap<SourceTree, Map<string, string[]>>();

/** What a file of a tree imports, read once however many ask. A file that no parser gets through imports nothing. */
export function importsIn(tree: SourceTree, path: string, { types } = { types: true }): string[] {
  const known = read.get(tree) ?? new Map<string, string[]>();
  read.set(tree, known);
  const key = `${types} ${path}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const text = tree.text(path);
  const found = text === null || text.length > mostSourceBytes ? [] : importsOf(path, text, { types });
  known.set(key, found);
  return found;
}

/** The file that a relative import means; a `.js` may be written for a `.ts`. */
export function fileOf(tree: SourceTree, from: string, name: string): string | null {
  if (!/^\.{1,2}(\/|$)/.test(name)) return null;
  const target = posix.normalize(posix.join(posix.dirname(from), name));
  if (target.startsWith('..')) return null;
  const asSource = target.replace(/\.([cm]?)js(x?)$/, '.$1ts$2');
  return (
    [...endings.map((ending) => target + ending), asSource, ...inFolder.map((index) => posix.join(target, index))].find(
      (path) => tree.has(path),
    ) ?? null
  );
}

/**
 * Everything that the product's source loads, wherever it lies and whatever it is called: a folder named `docs` or a file
 * named `x.config.js` is source as soon as source loads it.
 */
export function reachedFiles(tree: SourceTree): ReadonlySet<string> {
  const reached = new Set<string>();
  const open = [...tree.files.keys()].filter((path) => isProductSource(path) && isScript(path));
  const seen = new Set(open);
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (/\.json$/.test(path)) continue;
    for (const name of importsIn(tree, path)) {
      const target = fileOf(tree, path, name);
      if (target === null) continue;
      reached.add(target);
      if (seen.has(target)) continue;
      seen.add(target);
      open.push(target);
    }
  }
  return reached;
}
