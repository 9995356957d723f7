import ts from 'typescript';
import { isPython, isTypeScript } from './paths.ts';

export interface SourceFunction {
  /** `Parser.parse`, `total`, `Queue.constructor`. */
  name: string;
  line: number;
  /** The function's own tokens, so that comments and layout do not make it another. */
  tokens: string;
  shape: 'empty' | 'constant' | 'full';
  /** What its body says about being unfinished, if it does. */
  placeholder: string | null;
  /** The whole file with this one function emptied; for one that is empty already, with a body that throws. */
  emptied: string;
}

const placeholderText = /not\s*(?:yet\s*)?implemented|unimplemented|\b(?:todo|fixme)\b/i;

export function functionsIn(path: string, text: string): SourceFunction[] {
  return isPython(path) ? pythonFunctions(text) : scriptFunctions(path, text);
}

export function parseScript(path: string, text: string): ts.SourceFile {
  const kind = /\.[mc]?tsx?$/.test(path)
    ? path.endsWith('x')
      ? ts.ScriptKind.TSX
      : ts.ScriptKind.TS
    : path.endsWith('x')
      ? ts.ScriptKind.JSX
      : ts.ScriptKind.JS;
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, kind);
}

/** Tokens without comments and layout. */
export function tokensOf(node: ts.Node, file: ts.SourceFile): string {
  const words: string[] = [];
  const visit = (each: ts.Node): void => {
    if (each.kind >= ts.SyntaxKind.FirstJSDocNode && each.kind <= ts.SyntaxKind.LastJSDocNode) return;
    const children = each.getChildren(file);
    if (children.length === 0) words.push(each.getText(file));
    else for (const child of children) visit(child);
  };
  visit(node);
  return words.join(' ');
}

const isConstant = (expression: ts.Expression | undefined): boolean => {
  if (expression === undefined) return true;
  if (ts.isAsExpression(expression) || ts.isParenthesizedExpression(expression) || ts.isSatisfiesExpression(expression))
    return isConstant(expression.expression);
  if (ts.isPrefixUnaryExpression(expression)) return isConstant(expression.operand);
  if (ts.isIdentifier(expression)) return expression.text === 'undefined' || expression.text === 'NaN';
  if (ts.isArrayLiteralExpression(expression)) return expression.elements.every((each) => isConstant(each));
  if (ts.isObjectLiteralExpression(expression))
    return expression.properties.every((each) => ts.isPropertyAssignment(each) && isConstant(each.initializer));
  if (ts.isCallExpression(expression))
    return (
      /^Promise\.(resolve|reject)$/.test(expression.expression.getText()) &&
      expression.arguments.every((each) => isConstant(each))
    );
  return (
    ts.isStringLiteralLike(expression) ||
    ts.isNumericLiteral(expression) ||
    ts.isBigIntLiteral(expression) ||
    [ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword, ts.SyntaxKind.NullKeyword].includes(expression.kind)
  );
};

const shapeOf = (body: ts.ConciseBody): SourceFunction['shape'] => {
  if (!ts.isBlock(body)) return isConstant(body) ? 'constant' : 'full';
  if (body.statements.length === 0) return 'empty';
  const only = body.statements.length === 1 ? body.statements[0] : undefined;
  return only !== undefined && ts.isReturnStatement(only)
    ? only.expression === undefined
      ? 'empty'
      : isConstant(only.expression)
        ? 'constant'
        : 'full'
    : 'full';
};

function nameOf(node: ts.Node): string | null {
  if (ts.isConstructorDeclaration(node)) return 'constructor';
  if (
    (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isAccessor(node)) &&
    node.name !== undefined
  )
    return node.name.getText();
  if (ts.isFunctionDeclaration(node)) return 'default';
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) {
    let parent: ts.Node = node.parent;
    while (ts.isParenthesizedExpression(parent) || ts.isAsExpression(parent) || ts.isSatisfiesExpression(parent))
      parent = parent.parent;
    if (
      (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)) &&
      parent.initializer !== undefined
    )
      return parent.name.getText();
    if (ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.EqualsToken)
      return parent.left.getText();
    if (ts.isExportAssignment(parent)) return 'default';
    // A function handed to a wrapper that is given a name: `export const handler = wrap(async () => …)`.
    if (ts.isCallExpression(parent) && ts.isVariableDeclaration(parent.parent)) return parent.parent.name.getText();
  }
  return null;
}

function scriptFunctions(path: string, text: string): SourceFunction[] {
  const file = parseScript(path, text);
  const found: SourceFunction[] = [];
  const typed = isTypeScript(path);
  const visit = (node: ts.Node, within: readonly string[]): void => {
    let inside = within;
    if ((ts.isClassDeclaration(node) || ts.isClassExpression(node)) && node.name !== undefined)
      inside = [...within, node.name.text];
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const body = node.body;
      const name = nameOf(node);
      if (name !== null) {
        const shape = shapeOf(body);
        const block = ts.isBlock(body) ? body : null;
        // `constructor(private readonly x: X) {}` has its work in its parameters; `super(...)` alone is what none would do too.
        const superCalls = ts.isConstructorDeclaration(node)
          ? (block?.statements.filter(
              (each) =>
                ts.isExpressionStatement(each) &&
                ts.isCallExpression(each.expression) &&
                each.expression.expression.kind === ts.SyntaxKind.SuperKeyword,
            ) ?? [])
          : [];
        const nothingToEmpty =
          ts.isConstructorDeclaration(node) && (block?.statements.length ?? 0) === superCalls.length;
        if (!nothingToEmpty) {
          const nothing = typed ? 'return undefined as never;' : 'return undefined;';
          const replacement =
            shape === 'empty'
              ? "{ throw new Error('emptied'); }"
              : ts.isConstructorDeclaration(node)
                ? `{ ${superCalls.map((each) => each.getText(file)).join(' ')} }`
                : ts.isSetAccessor(node)
                  ? '{ }'
                  : `{ ${nothing} }`;
          const start = body.getStart(file);
          const changed = text.slice(0, start) + replacement + text.slice(body.getEnd());
          const comments = block === null ? '' : text.slice(body.getStart(file), body.getEnd());
          const thrown =
            block?.statements.length === 1 && ts.isThrowStatement(block.statements[0]!)
              ? block.statements[0].getText(file)
              : '';
          const unfinished = placeholderText.test(thrown)
            ? thrown
            : shape !== 'full' && placeholderText.test(comments)
              ? comments
              : null;
          found.push({
            name: [...inside, name].join('.'),
            line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
            tokens: tokensOf(node, file),
            shape,
            placeholder: unfinished === null ? null : unfinished.replace(/\s+/g, ' ').slice(0, 120),
            emptied: typed ? withoutTypeCheck(changed) : changed,
          });
        }
        inside = [...inside, name];
      }
    }
    ts.forEachChild(node, (child) => visit(child, inside));
  };
  visit(file, []);
  return found;
}

/** So that a compiler in the way of the tests does not refuse the emptied file for its types. */
const withoutTypeCheck = (text: string): string => {
  const shebang = /^#!.*\n/.exec(text)?.[0] ?? '';
  return `${shebang}// @ts-nocheck\n${text.slice(shebang.length)}`;
};

function pythonFunctions(text: string): SourceFunction[] {
  const lines = text.split('\n');
  const found: SourceFunction[] = [];
  const scopes: { indent: number; name: string }[] = [];
  const indentOf = (line: string): number => line.length - line.trimStart().length;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
    while (scopes.length > 0 && indentOf(line) <= scopes.at(-1)!.indent) scopes.pop();
    const head = /^(\s*)(class|(?:async\s+)?def)\s+(\w+)/.exec(line);
    if (head === null) continue;
    const indent = head[1]!.length;
    const name = [...scopes.map((scope) => scope.name), head[3]!].join('.');
    scopes.push({ indent, name: head[3]! });
    if (head[2] === 'class') continue;
    let headEnd = at;
    while (headEnd < lines.length - 1 && !/:\s*(#.*)?$/.test(lines[headEnd]!)) headEnd++;
    let end = headEnd + 1;
    while (end < lines.length && (lines[end]!.trim() === '' || indentOf(lines[end]!) > indent)) end++;
    while (end > headEnd + 1 && lines[end - 1]!.trim() === '') end--;
    if (end <= headEnd + 1) continue; // its body stands on the line of its head
    const body = lines.slice(headEnd + 1, end).join('\n');
    const code = body
      .replace(/^\s*(?:"""[\s\S]*?"""|'''[\s\S]*?''')/, '')
      .split('\n')
      .map((each) => each.replace(/#.*$/, '').trim())
      .filter((each) => each !== '');
    const only = code.length === 1 ? code[0]! : '';
    const shape =
      code.length === 0 || /^(pass|\.\.\.|return|return None)$/.test(only)
        ? 'empty'
        : /^return\s+(-?[\d.]+|True|False|"[^"]*"|'[^']*'|\[\]|\{\}|\(\))$/.test(only)
          ? 'constant'
          : 'full';
    const pad = ' '.repeat(indent + 4);
    const unfinished =
      /NotImplementedError/.test(only) || (shape !== 'full' && placeholderText.test(body)) ? body : null;
    found.push({
      name,
      line: at + 1,
      tokens: [...lines.slice(at, headEnd + 1).map((each) => each.trim()), ...code].join(' '),
      shape,
      placeholder: unfinished === null ? null : unfinished.trim().replace(/\s+/g, ' ').slice(0, 120),
      emptied: [
        ...lines.slice(0, headEnd + 1),
        shape === 'empty' ? `${pad}raise RuntimeError('emptied')` : `${pad}return None`,
        ...lines.slice(end),
      ].join('\n'),
    });
  }
  return found;
}
