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
  /** What a table above the test feeds it with: decorators, the rows of `each`. */
  rows: string;
  asserted: Asserted[];
}

/** One assertion: what it is about, what it wants of it, and how much that says. */
export interface Asserted {
  subject: string;
  expected: string;
  /** 3: exactly this; 2: of this kind, at least this; 1: anything but nothing. */
  strength: 1 | 2 | 3;
}

const exact =
  /^(?:toBe|toEqual|toStrictEqual|equal|strictEqual|deepEqual|deepStrictEqual|equals|eql|eq|same|toHaveLength|lengthOf|toBeNull|toBeUndefined|toBeNaN|toHaveBeenCalledWith|toHaveBeenCalledTimes|toHaveBeenNthCalledWith|toHaveBeenLastCalledWith|isTrue|isFalse|null|undefined|true|false)$/;
const kindOf =
  /^(?:toMatchObject|toContain|toContainEqual|toMatch|match|include|includes|toBeCloseTo|closeTo|approximately|toBeGreaterThan\w*|toBeLessThan\w*|above|below|least|most|within|toHaveProperty|property|toBeInstanceOf|instanceOf|toMatchInlineSnapshot|oneOf|members|keys|partialDeepStrictEqual)$/;
const loose =
  /\b(?:expect|jest|vi|match)\s*\.\s*(?:any|anything|objectContaining|arrayContaining|stringContaining|stringMatching)\b/;

/** The assertions of a test that say what something has to be. */
function assertedIn(body: ts.Node, file: ts.SourceFile): Asserted[] {
  const found: Asserted[] = [];
  const text = (node: ts.Node): string => tokensOf(node, file);
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const root = rootOf(node);
      const name = ts.isIdentifier(root) ? root.text : '';
      if (
        assertionRoot.test(name) &&
        (name !== 't' ||
          !/^t\.(?:skip|todo|test|plan|diagnostic|mock|before|after|end)/.test(node.expression.getText(file)))
      ) {
        const chain = node.expression.getText(file);
        const matcher = /(?:\.|^)(\w+)$/.exec(chain)?.[1] ?? '';
        let subject: ts.Expression | undefined;
        let at: ts.Expression = node.expression;
        while (ts.isPropertyAccessExpression(at) || ts.isCallExpression(at)) {
          if (ts.isCallExpression(at)) subject = at.arguments[0];
          at = at.expression;
        }
        const byChain = subject !== undefined;
        subject ??= node.arguments[0];
        const wants = byChain ? [...node.arguments] : [...node.arguments].slice(1);
        const expected = wants.map((each) => text(each)).join(' , ');
        const negated = /\.not\b|\bnot[A-Z]/.test(chain);
        const throwing = /^(?:throws|rejects|toThrow\w*|throw)$/.test(matcher);
        const strength = negated
          ? 1
          : throwing
            ? wants.length > 0
              ? 2
              : 1
            : exact.test(matcher)
              ? loose.test(expected)
                ? 2
                : 3
              : kindOf.test(matcher)
                ? 2
                : 1;
        if (
          subject !== undefined &&
          !(byChain && ts.isCallExpression(node) && node.arguments.length === 0 && matcher === name)
        )
          found.push({ subject: text(subject), expected, strength });
        return;
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(body);
  return found;
}

/** The same for `assert subject == expected` and its like. */
function pythonAsserted(line: string): Asserted[] {
  const raises = /pytest\.raises\(\s*([\w.]+)/.exec(line);
  if (raises !== null)
    return [{ subject: 'raises', expected: raises[1]!, strength: /^(?:Base)?Exception$/.test(raises[1]!) ? 1 : 2 }];
  const compared =
    /^assert\s+([\s\S]+?)\s*(==|is(?!\s+not)|in|not in|!=|>=|<=|>|<|is not)\s+([\s\S]+?)(?:,\s*f?["'].*)?$/.exec(line);
  if (compared !== null)
    return [
      {
        subject: compared[1]!,
        expected: compared[3]!,
        strength:
          compared[2] === '==' || compared[2] === 'is' ? 3 : /^(?:!=|is not|not in)$/.test(compared[2]!) ? 1 : 2,
      },
    ];
  const equal = /self\.assert(\w+)\(([\s\S]+)\)$/.exec(line);
  if (equal !== null) {
    const [subject = '', expected = ''] = equal[2]!.split(/,(?![^([{]*[)\]}])/);
    return [
      {
        subject: subject.trim(),
        expected: expected.trim(),
        strength: /^(?:Equal|Is|DictEqual|ListEqual|True|False)$/.test(equal[1]!)
          ? 3
          : /^Not|IsNotNone/.test(equal[1]!)
            ? 1
            : 2,
      },
    ];
  }
  const plain = /^assert\s+([\s\S]+)$/.exec(line);
  return plain === null ? [] : [{ subject: plain[1]!, expected: '', strength: 1 }];
}

const literal = /(["'`])(?:\\.|(?!\1).)*\1|\b\d[\d_.e]*|\b(?:true|false|null|undefined|None|True|False)\b/g;
const pattern = /(?<=[(,:=]\s*)\/(?![/*])(?:\\.|[^/\n\\])+\/[a-z]*/g;
const words = (text: string): Set<string> =>
  new Set((text.match(literal) ?? []).map((each) => each.replace(/^["'`]|["'`]$/g, '"').replaceAll('_', '')));
const called = (text: string): string[] => [...text.matchAll(/([A-Za-z_$][\w$]*)\s*\(/g)].map((match) => match[1]!);

/** The values that a text names, patterns as well, without their quotes and as often as they are named. */
export const valuesIn = (text: string): string[] =>
  [...(text.match(literal) ?? []), ...(text.match(pattern) ?? [])].map((each) =>
    each.replace(/^["'`]|["'`]$/g, '').replace(/(?<=\d)_(?=\d)/g, ''),
  );
/** The names that it calls. */
export const callsIn = (text: string): Set<string> => new Set(called(text));

/**
 * Is what an assertion asked for still asked for in one of these tests? By itself, or by one that calls the same and has every value of
 * it beside it: a test cut in two, or copies that became a table.
 */
export function stillAsked(lost: Asserted, tests: readonly WrittenTest[]): boolean {
  const values = words(`${lost.subject} ${lost.expected}`);
  const names = called(lost.subject);
  return tests.some((test) => {
    if (test.skipped) return false;
    const there = words(`${test.body} ${test.rows}`);
    return test.asserted.some((each) => {
      if (each.strength < lost.strength) return false;
      if (each.subject === lost.subject) return each.expected === lost.expected;
      const calls = new Set(called(each.subject));
      return (
        names.length > 0 && names.every((name) => calls.has(name)) && [...values].every((value) => there.has(value))
      );
    });
  });
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

export interface TestCall {
  /** Its groups' names and its own, joined by ` > `. */
  name: string;
  node: ts.CallExpression;
  callee: string;
  body: ts.ArrowFunction | ts.FunctionExpression | undefined;
  skipped: boolean;
  only: boolean;
}

/** The calls by which a file says its tests, groups left out. */
export function testCallsIn(file: ts.SourceFile): TestCall[] {
  const found: TestCall[] = [];
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
          /\.(skip|todo|failing|fails|skipIf|runIf)\b/.test(kind[2] ?? '') ||
          /\b(skip|todo)\s*:\s*(?!false|undefined)/.test(options);
        const name = [...groups, first.text];
        const group = /^(?:describe|suite|context)$/.test(kind[1]!);
        if (!group)
          found.push({
            name: name.join(' > '),
            node,
            callee,
            body,
            skipped: off,
            only: /\.only\b/.test(kind[2] ?? '') || /^f(it|describe)/.test(callee) || /\bonly\s*:\s*true/.test(options),
          });
        if (body !== undefined) ts.forEachChild(body, (child) => visit(child, name, off));
        return;
      }
    }
    ts.forEachChild(node, (child) => visit(child, groups, skipped));
  };
  visit(file, [], false);
  return found;
}

function scriptTests(path: string, text: string): WrittenTest[] {
  const file = parseScript(path, text);
  return testCallsIn(file).map(({ name, node, callee, body, skipped, only }) => {
    const assertions = body === undefined ? { real: 0, trivial: 0 } : countAssertions(body);
    const inner = body === undefined ? '' : tokensOf(body.body, file);
    return {
      name,
      line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
      skipped: skipped || body === undefined || /^\{ (?:return ;|(?:t|this|ctx|context) \. skip \()/.test(inner),
      only,
      assertions: assertions.real,
      trivialAssertions: assertions.trivial,
      body: inner,
      rows: callee,
      asserted: body === undefined ? [] : assertedIn(body, file),
    };
  });
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
      rows: decorators,
      asserted: body.flatMap(pythonAsserted),
    });
  }
  return found;
}
