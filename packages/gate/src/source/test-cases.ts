import ts from 'typescript';
import { parseScript, tokensOf } from './functions.ts';
import { isPython } from './paths.ts';

export interface WrittenTest {
  name: string;
  line: number;
  skipped: boolean;
  only: boolean;
  /** Assertions that could fail; `expect(true).toBe(true)` is none. */
  assertions: number;
  trivialAssertions: number;
  body: string;
}

const assertionRoot = /^(assert|expect|should|t|chai|strictEqual|deepEqual|deepStrictEqual|equal|ok|throws|rejects)$/;

/** The test cases that a file writes down, read without running it. */
export function writtenTests(path: string, text: string): WrittenTest[] {
  return isPython(path) ? pythonTests(text) : scriptTests(path, text);
}

const isLiteral = (node: ts.Node): boolean =>
  ts.isLiteralExpression(node) ||
  [ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword, ts.SyntaxKind.NullKeyword].includes(node.kind);

function rootOf(node: ts.Expression): ts.Expression {
  let at = node;
  while (
    ts.isPropertyAccessExpression(at) ||
    ts.isCallExpression(at) ||
    ts.isAwaitExpression(at) ||
    ts.isNonNullExpression(at)
  )
    at = at.expression;
  return at;
}

/** Every literal that an assertion is about; an assertion about nothing else cannot fail. */
function isTrivial(call: ts.CallExpression): boolean {
  const given: ts.Expression[] = [];
  let at: ts.Expression = call;
  while (ts.isCallExpression(at) || ts.isPropertyAccessExpression(at)) {
    if (ts.isCallExpression(at)) given.push(...at.arguments);
    at = at.expression;
  }
  return given.length > 0 && given.every(isLiteral);
}

function countAssertions(body: ts.Node): { real: number; trivial: number } {
  const count = { real: 0, trivial: 0 };
  const visit = (node: ts.Node, inside: boolean): void => {
    let within = inside;
    if (ts.isCallExpression(node)) {
      const root = rootOf(node);
      const name = ts.isIdentifier(root) ? root.text : '';
      const isContext =
        name === 't' && /^t\.(skip|todo|test|plan|diagnostic|mock|before|after|end)/.test(node.expression.getText());
      if (!inside && assertionRoot.test(name) && !isContext) {
        if (isTrivial(node)) count.trivial++;
        else count.real++;
        within = true;
      }
    }
    ts.forEachChild(node, (child) => visit(child, within && !ts.isFunctionLike(child)));
  };
  visit(body, false);
  return count;
}

function scriptTests(path: string, text: string): WrittenTest[] {
  const file = parseScript(path, text);
  const found: WrittenTest[] = [];
  const visit = (node: ts.Node, groups: readonly string[], skipped: boolean): void => {
    if (ts.isCallExpression(node)) {
      const callee = node.expression.getText(file);
      const kind = /^(?:t\.|test\.|x|f)?(test|it|specify|describe|suite|context)\b((?:\.\w+)*)/.exec(callee);
      const [first] = node.arguments;
      if (kind !== null && first !== undefined && ts.isStringLiteralLike(first)) {
        const body = [...node.arguments]
          .reverse()
          .find((each) => ts.isArrowFunction(each) || ts.isFunctionExpression(each));
        const options = node.arguments.find((each) => ts.isObjectLiteralExpression(each))?.getText(file) ?? '';
        const off =
          skipped ||
          /^x(it|test|describe)/.test(callee) ||
          /\.(skip|todo|failing|skipIf|runIf)\b/.test(kind[2] ?? '') ||
          /\b(skip|todo)\s*:\s*(?!false|undefined)/.test(options);
        if (/^(?:describe|suite|context)$/.test(kind[1]!)) {
          if (body !== undefined) ts.forEachChild(body, (child) => visit(child, [...groups, first.text], off));
          return;
        }
        const assertions = body === undefined ? { real: 0, trivial: 0 } : countAssertions(body);
        const inner = body === undefined ? '' : tokensOf((body as ts.FunctionExpression).body, file);
        found.push({
          name: [...groups, first.text].join(' > '),
          line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
          skipped: off || body === undefined || /^\{ (?:return ;|(?:t|this|ctx|context) \. skip \()/.test(inner),
          only: /\.only\b/.test(kind[2] ?? '') || /^f(it|describe)/.test(callee) || /\bonly\s*:\s*true/.test(options),
          assertions: assertions.real,
          trivialAssertions: assertions.trivial,
          body: inner,
        });
        if (body !== undefined) ts.forEachChild(body, (child) => visit(child, [...groups, first.text], off));
        return;
      }
    }
    ts.forEachChild(node, (child) => visit(child, groups, skipped));
  };
  visit(file, [], false);
  return found;
}

function pythonTests(text: string): WrittenTest[] {
  const lines = text.split('\n');
  const found: WrittenTest[] = [];
  for (let at = 0; at < lines.length; at++) {
    const head = /^(\s*)(?:async\s+)?def\s+(test\w*)\s*\(/.exec(lines[at]!);
    if (head === null) continue;
    const indent = head[1]!.length;
    let end = at + 1;
    while (
      end < lines.length &&
      (lines[end]!.trim() === '' || lines[end]!.length - lines[end]!.trimStart().length > indent)
    )
      end++;
    const body = lines
      .slice(at + 1, end)
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
    let decorators = '';
    for (let above = at - 1; above >= 0 && lines[above]!.trim().startsWith('@'); above--) decorators += lines[above];
    const asserts = body.filter((line) => /^assert\b|self\.assert|pytest\.raises|\.assert_/.test(line));
    const trivial = asserts.filter((line) => /^assert\s+(True|1|not False|"[^"]*"|1 == 1)\s*(,.*)?$/.test(line));
    found.push({
      name: head[2]!,
      line: at + 1,
      skipped:
        /mark\.(skip|xfail)|unittest\.skip/.test(decorators) ||
        /^(pytest\.skip\(|return$|self\.skipTest\()/.test(body[0] ?? ''),
      only: false,
      assertions: asserts.length - trivial.length,
      trivialAssertions: trivial.length,
      body: body.join(' '),
    });
  }
  return found;
}
