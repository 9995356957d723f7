import ts from 'typescript';
import { mostSourceBytes } from './fresh.ts';
import { parseScript } from './functions.ts';
import { isPython, isScript } from './paths.ts';
import { fileOf, importsIn } from './reached.ts';
import type { SourceTree } from './tree.ts';

/** What changes nothing outside of the process that loads it. */
const quiet =
  /^(?:node:)?(?:assert(?:\/strict)?|util|url|path(?:\/posix|\/win32)?|events|buffer|string_decoder|querystring|timers(?:\/promises)?|perf_hooks|crypto|async_hooks|stream(?:\/promises|\/web)?)$|^node:test$|^vitest$/;
/** By these a program gets at files, other processes or the network without importing anything, or at whatever it likes. */
const reachesOut =
  /\b(?:process|globalThis|global|self|fetch|WebSocket|EventSource|XMLHttpRequest|navigator|localStorage|sessionStorage|indexedDB|caches|Worker|SharedWorker|BroadcastChannel|Deno|Bun|eval|Function|WebAssembly|importActual|importMock|importOriginal|module)\b|\bimport\.meta\.env\b|\bconstructor\b(?!\s*\([^)]*\)\s*\{)|\brequire\b(?!\s*\(\s*['"])|\b(?:mock|doMock)\s*(?:<|\(\s*['"`](?![./]))|\b(?:arguments|vi)\s*\[|\\u|[sS]napshot|@(?:vitest|jest)-environment|\bexport\b[^;'"]*['"]node:test['"]/;
/** `run` of node's runner starts others. */
const runsTests = /\brun\b/;
/** Files that settle how tests are run. */
export const isSetting = (path: string): boolean =>
  /config|workspace|^vite(?:st)?\.|^package\.json$|rc(?:\.\w+)?$/i.test(path.split('/').at(-1)!);
/** Settings of vitest that leave each test file in a worker of its own, and bring nothing along. */
const harmless =
  /^(?:test|include|exclude|pool|globals|testTimeout|hookTimeout|teardownTimeout|slowTestThreshold|mockReset|restoreMocks|clearMocks|unstubGlobals|unstubEnvs|passWithNoTests|allowOnly)$/;

/** One literal that says everything by its name. */
function isHarmlessValue(node: ts.Expression): boolean {
  if (ts.isArrayLiteralExpression(node)) return node.elements.every((each) => ts.isStringLiteral(each));
  if (!ts.isObjectLiteralExpression(node))
    return (
      ts.isStringLiteral(node) ||
      ts.isNumericLiteral(node) ||
      node.kind === ts.SyntaxKind.TrueKeyword ||
      node.kind === ts.SyntaxKind.FalseKeyword
    );
  return node.properties.every((each) => {
    if (!ts.isPropertyAssignment(each) || ts.isComputedPropertyName(each.name) || !harmless.test(each.name.text))
      return false;
    const { initializer: value } = each;
    if (each.name.text === 'pool') return ts.isStringLiteral(value) && /^(?:threads|forks)$/.test(value.text);
    return isHarmlessValue(value);
  });
}

function isHarmlessSetting(tree: SourceTree, path: string, text: string): boolean {
  return (
    /(?:^|\/)vite(?:st)?\.config\.\w+$/.test(path) &&
    importsIn(tree, path).every((name) => name === 'vitest/config') &&
    parseScript(path, text).statements.every((statement) => {
      if (ts.isImportDeclaration(statement)) return true;
      if (!ts.isExportAssignment(statement)) return false;
      const { expression } = statement;
      const value =
        ts.isCallExpression(expression) && ts.isIdentifier(expression.expression) && expression.expression.text === 'defineConfig' && expression.arguments.length === 1 ? expression.arguments[0]! : expression; // prettier-ignore
      return ts.isObjectLiteralExpression(value) && isHarmlessValue(value);
    })
  );
}

/**
 * Whether nothing in these files can reach beyond the process that loads them, as far as their text says: not files, other processes, the network,
 * or packages, which might. Where it cannot be told, they can.
 */
export function keepToThemselves(tree: SourceTree, paths: readonly string[]): boolean {
  return paths.every((path) => {
    const text = tree.text(path);
    if (text === null || text.length > mostSourceBytes || isPython(path)) return false;
    if (!isScript(path)) return /(?:^|\/)(?:package|tsconfig[\w.-]*)\.json$/.test(path);
    if (reachesOut.test(text)) return false;
    if (isSetting(path)) return isHarmlessSetting(tree, path, text);
    const names = importsIn(tree, path);
    const keeps = (name: string): boolean =>
      /^\.{1,2}(?:\/|$)/.test(name) ? fileOf(tree, path, name) !== null : quiet.test(name);
    return names.every(keeps) && !(names.includes('node:test') && runsTests.test(text));
  });
}
