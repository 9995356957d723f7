import ts from 'typescript';
import { parseScript } from './functions.ts';
import { isPython, isTypeScript } from './paths.ts';
import { pythonLines } from './python.ts';

/** One small thing done otherwise, which a test that looks at the line should notice. */
export interface Mutant {
  line: number;
  was: string;
  is: string;
  text: string;
}

const otherwise: Readonly<Partial<Record<ts.SyntaxKind, string>>> = {
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: '!==',
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: '===',
  [ts.SyntaxKind.EqualsEqualsToken]: '!=',
  [ts.SyntaxKind.ExclamationEqualsToken]: '==',
  [ts.SyntaxKind.LessThanToken]: '>=',
  [ts.SyntaxKind.LessThanEqualsToken]: '>',
  [ts.SyntaxKind.GreaterThanToken]: '<=',
  [ts.SyntaxKind.GreaterThanEqualsToken]: '<',
  [ts.SyntaxKind.PlusToken]: '-',
  [ts.SyntaxKind.MinusToken]: '+',
  [ts.SyntaxKind.AsteriskToken]: '/',
  [ts.SyntaxKind.SlashToken]: '*',
  [ts.SyntaxKind.AmpersandAmpersandToken]: '||',
  [ts.SyntaxKind.BarBarToken]: '&&',
};
/** Words for people and machines that watch; a test that asks for them would be a nuisance. */
const aside =
  /^(?:console|log|logger|debug|process\.std(?:out|err)|this\.log\w*|metrics?)\b|Error\b|^(?:describe|assert|invariant)/;

/** What could be done otherwise on these lines, in the order in which it stands there. */
export function mutantsOf(path: string, text: string, lines: ReadonlySet<number>): Mutant[] {
  return isPython(path) ? pythonMutants(text, lines) : scriptMutants(path, text, lines);
}

/** Data at the top of a file: what stands in it is looked up and not decided, and no test asks for each row. */
const rowsOfATable = 8;
function isTable(node: ts.Node): boolean {
  const rows = ts.isArrayLiteralExpression(node)
    ? node.elements.length
    : ts.isObjectLiteralExpression(node)
      ? node.properties.filter((each) => ts.isPropertyAssignment(each) && !ts.isFunctionLike(each.initializer)).length
      : 0;
  if (rows < rowsOfATable) return false;
  for (let at = node.parent; !ts.isSourceFile(at); at = at.parent) if (ts.isFunctionLike(at)) return false;
  return true;
}

function scriptMutants(path: string, text: string, lines: ReadonlySet<number>): Mutant[] {
  const file = parseScript(path, text);
  const mutants: Mutant[] = [];
  const shebang = /^#!.*\n/.exec(text)?.[0] ?? '';
  const mutate = (node: ts.Node, is: string): void => {
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
    if (!lines.has(line)) return;
    const changed = text.slice(0, node.getStart(file)) + is + text.slice(node.getEnd());
    mutants.push({
      line,
      was: node.getText(file).slice(0, 100),
      is: is.slice(0, 100),
      text: isTypeScript(path) ? `${shebang}// @ts-nocheck\n${changed.slice(shebang.length)}` : changed,
    });
  };
  const visit = (node: ts.Node): void => {
    if (isTable(node)) return;
    if (
      ts.isTypeNode(node) ||
      ts.isInterfaceDeclaration(node) ||
      ts.isImportDeclaration(node) ||
      ts.isThrowStatement(node)
    )
      return;
    if (ts.isCallExpression(node) && aside.test(node.expression.getText(file))) return;
    if (ts.isBinaryExpression(node)) {
      const is = otherwise[node.operatorToken.kind];
      const text = [node.left, node.right].some(
        (each) => ts.isStringLiteralLike(each) || ts.isTemplateExpression(each),
      );
      if (is !== undefined && !(text && node.operatorToken.kind === ts.SyntaxKind.PlusToken))
        mutate(node.operatorToken, is);
    } else if (node.kind === ts.SyntaxKind.TrueKeyword) mutate(node, 'false');
    else if (node.kind === ts.SyntaxKind.FalseKeyword) mutate(node, 'true');
    else if (ts.isNumericLiteral(node) && /^\d+$/.test(node.text)) mutate(node, String(Number(node.text) + 1));
    else if (ts.isIfStatement(node) && !ts.isBinaryExpression(node.expression))
      mutate(node.expression, `!(${node.expression.getText(file)})`);
    else if (ts.isConditionalExpression(node)) mutate(node.condition, `!(${node.condition.getText(file)})`);
    else if (
      ts.isExpressionStatement(node) &&
      ts.isCallExpression(node.expression) &&
      node.expression.expression.kind !== ts.SyntaxKind.SuperKeyword
    )
      mutate(node, ';');
    ts.forEachChild(node, visit);
  };
  visit(file);
  return mutants;
}

const pythonSwaps: readonly [RegExp, string][] = [
  [/ == /, ' != '],
  [/ != /, ' == '],
  [/ <= /, ' > '],
  [/ >= /, ' < '],
  [/ < /, ' >= '],
  [/ > /, ' <= '],
  [/ \+ /, ' - '],
  [/ - /, ' + '],
  [/ \* /, ' / '],
  [/ and /, ' or '],
  [/ or /, ' and '],
  [/\bnot /, ''],
  [/\bTrue\b/, 'False'],
  [/\bFalse\b/, 'True'],
];

function pythonMutants(text: string, lines: ReadonlySet<number>): Mutant[] {
  const source = text.split('\n');
  return pythonLines(text).flatMap((each) => {
    if (!lines.has(each.line) || each.indent < 0 || /^(?:raise|import|from|def|class|@|assert|["'])/.test(each.text))
      return [];
    const swap = pythonSwaps.find(([pattern]) => pattern.test(each.bare) && pattern.test(source[each.line - 1] ?? ''));
    if (swap === undefined) return [];
    const was = source[each.line - 1]!;
    const is = was.replace(swap[0], swap[1]);
    return [
      {
        line: each.line,
        was: was.trim(),
        is: is.trim(),
        text: [...source.slice(0, each.line - 1), is, ...source.slice(each.line)].join('\n'),
      },
    ];
  });
}

/** A file of which no function does anything any more: each answers nothing, or throws. What runs while it loads is kept. */
export function hollowed(path: string, text: string, how: 'empty' | 'throws'): string {
  if (isPython(path)) {
    const source = text.split('\n');
    const out: string[] = [];
    const logical = pythonLines(text).filter((each) => each.indent >= 0);
    let skip: number | null = null;
    let at = 1;
    for (const [index, each] of logical.entries()) {
      const end = (logical[index + 1]?.line ?? source.length + 1) - 1;
      if (skip !== null && each.indent > skip) {
        at = end + 1;
        continue;
      }
      skip = null;
      while (at <= end) out.push(source[at++ - 1]!);
      const head = /^(?:async\s+)?def\s+(\w+)/.exec(each.text);
      if (head === null || head[1] === '__init__' || !each.text.endsWith(':')) continue;
      out.push(`${' '.repeat(each.indent + 4)}${how === 'empty' ? 'return None' : "raise RuntimeError('emptied')"}`);
      skip = each.indent;
    }
    return out.join('\n');
  }
  const file = parseScript(path, text);
  const edits: { from: number; to: number; body: string }[] = [];
  const visit = (node: ts.Node): void => {
    const replaceable =
      ts.isFunctionLike(node) && 'body' in node && node.body !== undefined && !ts.isConstructorDeclaration(node);
    if (!replaceable) return void ts.forEachChild(node, visit);
    const { body } = node as ts.FunctionLikeDeclaration;
    edits.push({
      from: body!.getStart(file),
      to: body!.getEnd(),
      body: how === 'empty' ? '{}' : "{ throw new Error('emptied'); }",
    });
  };
  visit(file);
  let out = text;
  for (const { from, to, body } of edits.sort((a, b) => b.from - a.from))
    out = out.slice(0, from) + body + out.slice(to);
  const shebang = /^#!.*\n/.exec(out)?.[0] ?? '';
  return isTypeScript(path) ? `${shebang}// @ts-nocheck\n${out.slice(shebang.length)}` : out;
}
