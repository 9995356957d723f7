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
  /** The body without steps that neither ask nor name anything: what only stands there is not asked for. */
  said: string;
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

/** Where the test runs, and when: nothing that the code has anything to do with. */
const surroundings =
  /\bprocess\s*\.\s*(?:env|platform|arch|version|argv)|\bimport\.meta\.env|\bos\s*\.\s*(?:platform|hostname|environ|getenv|name)|\bsys\s*\.\s*platform|\bplatform\s*\.\s*system|\bDate\s*\.\s*now|\bMath\s*\.\s*random|\bglobalThis\b/;
const asksSurroundings = (condition: ts.Expression, file: ts.SourceFile): boolean =>
  condition.kind === ts.SyntaxKind.FalseKeyword || surroundings.test(condition.getText(file));

/** Constants of a file that are made as empty lists and only gone through; worked out once, whoever asks how often. */
const emptyLists = new WeakMap<ts.SourceFile, ReadonlySet<string>>();
function emptyListsOf(file: ts.SourceFile): ReadonlySet<string> {
  const known = emptyLists.get(file);
  if (known !== undefined) return known;
  const times = (found: RegExp): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const match of file.text.matchAll(found)) {
      const name = match[1] ?? match[2]!;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  };
  const made = times(/\bconst\s+([\p{ID_Continue}$]+)(?![\p{ID_Continue}$])[^=;\n]{0,500}=\s*\[\s*\]/gu);
  const named = made.size === 0 ? made : times(/(?<![\p{ID_Continue}$.])([\p{ID_Continue}$]+)/gu);
  const goneThrough = made.size === 0 ? made : times(/(?:\bof\s+|\.each\(\s*)([\p{ID_Continue}$]+)\s*\)|(?<![\p{ID_Continue}$.])([\p{ID_Continue}$]+)\s*\.\s*(?:forEach|map)\(/gu); // prettier-ignore
  const found = new Set(
    [...made].filter(([name, count]) => count === 1 && named.get(name) === 1 + (goneThrough.get(name) ?? 0)).map(([name]) => name), // prettier-ignore
  );
  emptyLists.set(file, found);
  return found;
}

/** A list in which nothing ever is: written so, or a constant that is only gone through. */
function isEmptyList(list: ts.Expression, file: ts.SourceFile): boolean {
  if (ts.isAsExpression(list) || ts.isParenthesizedExpression(list)) return isEmptyList(list.expression, file);
  if (ts.isArrayLiteralExpression(list)) return list.elements.length === 0;
  return ts.isIdentifier(list) && emptyListsOf(file).has(list.text);
}

/** What stands in there is done for each of none. */
function isForNone(inner: ts.Node, parent: ts.Node, file: ts.SourceFile): boolean {
  if (ts.isForOfStatement(parent)) return parent.statement === inner && isEmptyList(parent.expression, file);
  return (
    ts.isCallExpression(parent) &&
    ts.isFunctionLike(inner) &&
    ts.isPropertyAccessExpression(parent.expression) &&
    /^(?:forEach|map|flatMap)$/.test(parent.expression.name.text) &&
    isEmptyList(parent.expression.expression, file)
  );
}
/** A test that is made for each of none: in a loop, or by a table without rows. */
function isMadeForNone(call: ts.CallExpression, file: ts.SourceFile): boolean {
  const table = call.expression;
  if (ts.isCallExpression(table) && /\.each$/.test(table.expression.getText(file)) && table.arguments[0] !== undefined && isEmptyList(table.arguments[0], file)) return true; // prettier-ignore
  for (let at: ts.Node = call; !ts.isSourceFile(at); at = at.parent) if (isForNone(at, at.parent, file)) return true;
  return false;
}

/** What stands directly in there is held back; kept, as every assertion asks it of all that it stands in. */
const heldBack = new WeakMap<ts.Node, boolean>();
function holdsBack(at: ts.Node, file: ts.SourceFile): boolean {
  const known = heldBack.get(at);
  if (known !== undefined) return known;
  const { parent } = at;
  const held = ((): boolean => {
    if (ts.isTryStatement(parent) && parent.tryBlock === at && parent.catchClause !== undefined) {
      const handled = parent.catchClause.block.getText(file);
      if (!/\bthrow\b|\bassert|\bexpect|\bfail\b|\bfail\(|\breject|\bdone\(|\berrors?\b\s*(?:=|\.push)|\b\w+\s*=[^=]/.test(handled)) return true; // prettier-ignore
    }
    if (ts.isIfStatement(parent) && parent.thenStatement === at && asksSurroundings(parent.expression, file))
      return true;
    return isForNone(at, parent, file);
  })();
  heldBack.set(at, held);
  return held;
}

/** Nothing that is asserted in there can fail the test: its failure is caught and goes no further, or it may not be asked at all. */
function isHeldBack(node: ts.Node, within: ts.Node, file: ts.SourceFile): boolean {
  for (let at = node; at !== within && at.parent !== undefined; at = at.parent) if (holdsBack(at, file)) return true;
  return false;
}

/** Ends before anything is asserted: always, or where it happens to run. */
function endsEarly(body: ts.Node, file: ts.SourceFile): boolean {
  if (!ts.isBlock(body)) return false;
  const leaves = (each: ts.Statement): boolean =>
    ts.isReturnStatement(each) ? each.expression === undefined : ts.isBlock(each) && each.statements.some(leaves);
  for (const each of body.statements) {
    if (leaves(each)) return true;
    if (ts.isIfStatement(each) && leaves(each.thenStatement) && asksSurroundings(each.expression, file)) return true;
    const { real, trivial } = countAssertions(each, file);
    if (real + trivial > 0) return false;
  }
  return false;
}

/** Without the commas that a formatter puts behind the last of a list. */
const tidy = (tokens: string): string => tokens.replace(/ , (?=[)\]}])/g, ' ');

/** The assertions of a test that say what something has to be. */
function assertedIn(body: ts.Node, file: ts.SourceFile): Asserted[] {
  const found: Asserted[] = [];
  const text = (node: ts.Node): string => tidy(tokensOf(node, file));
  const visit = (node: ts.Node): void => {
    const call = ts.isCallExpression(node) ? node : null;
    const chain = call === null ? null : askedOfChain(call);
    if (call !== null && chain !== null && !isHeldBack(call, body, file)) {
      const wants = call.arguments.filter((each) => !ts.isFunctionLike(each) && each.getText(file) !== 'done');
      // Of a header it is its value that is wanted.
      const header = wants.length > 1 && ts.isStringLiteralLike(wants[0]!) ? ` ${text(wants.shift()!)}` : '';
      const strength = wants.some((each) => ts.isRegularExpressionLiteral(each)) ? 2 : 3;
      found.push({ subject: text(chain) + header, expected: wants.map(text).join(' , '), strength });
    }
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
        if (isTrivial(node) || isHeldBack(node, body, file)) return;
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

/** A line of Python with all that stands in texts and brackets blotted out; each character stays where it is. */
function blotted(line: string): string {
  let out = '';
  let quote = '';
  let depth = 0;
  for (let at = 0; at < line.length; at++) {
    const each = line[at]!;
    const hidden = quote !== '' || depth > 0;
    if (quote !== '' && each === '\\') {
      out += '__';
      at++;
      continue;
    }
    let mark = each;
    if (each === '"' || each === "'") {
      if (quote === '') quote = mark = line.startsWith(each.repeat(3), at) ? each.repeat(3) : each;
      else if (line.startsWith(quote, at)) [mark, quote] = [quote, ''];
    } else if (quote === '') depth += /[([{]/.test(each) ? 1 : /[)\]}]/.test(each) ? -1 : 0;
    out += hidden && (quote !== '' || depth > 0) ? '_'.repeat(mark.length) : mark;
    at += mark.length - 1;
  }
  return out.slice(0, line.length);
}

/** The parts of a line of Python between commas that stand in no brackets. */
function partsOf(line: string): string[] {
  const ends = [...blotted(line).matchAll(/,/g)].map(({ index }) => index);
  return [...ends, line.length].map((end, nth) => line.slice(nth === 0 ? 0 : ends[nth - 1]! + 1, end));
}

const pythonHolds =
  /^(?:True|1|not False|[rRbBuUfF]{0,2}(?:"_+"|'_+'|"""_+"""|'''_+''')|1\s*==\s*1|len\(_*\)\s*>=\s*0)$/;
/** An assertion without the remark behind it. */
function withoutRemark(line: string): string {
  const at = /^(?:assert\b|self\.assert)/.test(line) ? blotted(line).indexOf('#') : -1;
  return at < 0 ? line : line.slice(0, at).trimEnd();
}

/** An assertion that holds whatever the code does; `or` says so only where it stands beside the whole condition. */
function pythonTrivial(line: string): boolean {
  if (!/^assert\b/.test(line)) return false;
  let condition = line.slice('assert'.length).trim();
  // Brackets around everything; nobody writes more of them.
  for (let round = 0; round < 5; round++) {
    const seen = blotted(condition);
    const end = seen.search(/[,#]/);
    if (end >= 0) {
      condition = condition.slice(0, end).trim();
      continue;
    }
    if (/^\(_*\)$/.test(seen)) {
      condition = condition.slice(1, -1).trim();
      // `(condition, "why")` is a pair.
      if (partsOf(condition).length > 1) return true;
      continue;
    }
    if (/\b(?:if|lambda)\b/.test(seen)) return false;
    return seen.split(/\bor\b/).some((each) => pythonHolds.test(each.trim()));
  }
  return false;
}

const pythonText = String.raw`"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\[\s\S]|[^"\\])*(?:"|\\?$)|'(?:\\[\s\S]|[^'\\])*(?:'|\\?$)`;
const closable = new RegExp(`(${pythonText})|,\\s*(?=[\\]}])|\\s+`, 'g');
/** Code of Python without the blanks, and the commas behind the last of a list, that a formatter may put in or take out. */
const closedUp = (code: string): string =>
  code.replace(closable, (part: string, text: string | undefined, at: number) => {
    if (text !== undefined) return text;
    return /\w/.test(code[at - 1] ?? '') && /\w/.test(code[at + part.length] ?? '') ? ' ' : '';
  });

/** What `assert subject == expected` and its like in Python say that something has to be. */
function pythonAsserted(line: string): Asserted[] {
  if (pythonTrivial(line)) return [];
  const raises = /pytest\.raises\(\s*([\w.]+)(?:\s*,\s*(match\s*=\s*[rR]?(["']).*\3))?/.exec(line);
  if (raises !== null) {
    // Wherever it is imported from.
    const expected = `${raises[1]!.split('.').at(-1)!}${raises[2] === undefined ? '' : ` ${raises[2]}`}`;
    return [{ subject: 'raises', expected, strength: /^(?:Base)?Exception$/.test(expected) ? 1 : 2 }];
  }
  // What stands behind a comma says why; one in brackets is part of what is wanted.
  // Quotes within the braces of a text are not told apart.
  const [first = ''] = /^assert\s/.test(line) ? partsOf(line) : [];
  const condition = [/"/g, /'/g].some((quote) => (first.match(quote)?.length ?? 0) % 2 > 0) ? line : first;
  const compared =
    /^assert\s+(?!\s)([\s\S]+?)(?<!\s)\s*(==|is(?!\s+not)|in|not in|!=|>=|<=|>|<|is not)\s+([\s\S]+?)$/.exec(condition);
  if (compared !== null) {
    const [, left = '', operator = '', right = ''] = compared;
    // `'closed' in str(error)` wants something of the error.
    const isLookedFor = /^(?:not )?in$/.test(operator) && /^[rRbBfF]{0,2}["']/.test(left) && !/^[rRbBfF]{0,2}["'[({]|\b(?:and|or)\b/.test(right); // prettier-ignore
    const [subject, expected] = (isLookedFor ? [right, left] : [left, right]).map(closedUp) as [string, string];
    const strength =
      (operator === '==' && !isWide(right)) || operator === 'is' ? 3 : /^(?:!=|is not|not in)$/.test(operator) ? 1 : 2;
    return [{ subject, expected, strength }];
  }
  const equal = line.endsWith(')') ? /self\.assert(\w+)\(([\s\S]+)\)$/.exec(line) : null;
  if (equal !== null) {
    const [subject = '', expected = ''] = partsOf(equal[2]!);
    return [
      {
        subject: closedUp(subject.trim()),
        expected: closedUp(expected.trim()),
        strength: /^(?:Equal|Is|DictEqual|ListEqual|True|False)$/.test(equal[1]!)
          ? 3
          : /^Not|IsNotNone/.test(equal[1]!)
            ? 1
            : 2,
      },
    ];
  }
  const plain = /^assert\s+([\s\S]+)$/.exec(line);
  return plain === null ? [] : [{ subject: closedUp(plain[1]!), expected: '', strength: 1 }];
}

const literalStart = /["'`]|\b\d[\d_.e]*|\b(?:true|false|null|undefined|None|True|False)\b/g;
const closing: Readonly<Record<string, RegExp>> = {
  '"': /"(?:\\.|[^"\\\r\n])*"/y,
  "'": /'(?:\\.|[^'\\\r\n])*'/y,
  '`': /`(?:\\.|[^`\\\r\n])*`/y,
};
/** Texts, numbers and the like. A quote that nothing closes is none, and no later one of its kind on the line is looked at for that. */
function literalsIn(text: string): string[] {
  const found: string[] = [];
  const openUntil: Record<string, number> = {};
  const start = new RegExp(literalStart);
  for (let at = start.exec(text); at !== null; at = start.exec(text)) {
    const closed = closing[at[0]];
    if (closed === undefined) found.push(at[0]);
    else if (at.index >= (openUntil[at[0]] ?? 0)) {
      closed.lastIndex = at.index;
      const whole = closed.exec(text)?.[0];
      if (whole === undefined) {
        const end = text.indexOf('\n', at.index);
        openUntil[at[0]] = end < 0 ? text.length : end;
      } else {
        found.push(whole);
        start.lastIndex = at.index + whole.length;
      }
    }
  }
  return found;
}
const pattern = /\/(?<=[(,:=]\s*\/)(?![/*])(?:\\.|[^/\n\\])+\/[a-z]*/g;
const words = (text: string): Set<string> =>
  new Set(literalsIn(text).map((each) => each.replace(/^["'`]|["'`]$/g, '"').replaceAll('_', '')));
/** `sum (`, and the table of `functions [ 'SUM' ] ! (`. */
const called = (text: string): string[] =>
  [...text.matchAll(/(?<![\w$])([A-Za-z_$][\w$]*)\s*(?:\[[^[\]]{0,200}\]\s*(?:!\s*|\?\.\s*)?)?\(/g)].map(
    (match) => match[1]!,
  );

/** The values that a text names, patterns as well, without their quotes and as often as they are named. */
export const valuesIn = (text: string): string[] =>
  [...literalsIn(text), ...(text.match(pattern) ?? [])].map((each) =>
    each.replace(/^["'`]|["'`]$/g, '').replace(/(?<=\d)_(?=\d)/g, ''),
  );
/** Calls that only do the same to each of a list, which the rows of a table do as well. */
const overEach = /^(?:map|flatMap|forEach)$/;
/** The names that it calls. */
export const callsIn = (text: string): Set<string> => new Set(called(text));

/**
 * Is what an assertion asked for still asked for in one of these tests? By itself, or by one that calls the same and has every value of
 * it beside it: a test cut in two, or copies that became a table.
 */
export function stillAsked(lost: Asserted, tests: readonly WrittenTest[]): boolean {
  const values = words(`${lost.subject} ${lost.expected}`);
  const names = called(lost.subject).filter((name) => !overEach.test(name));
  return tests.some((test) => {
    if (test.skipped) return false;
    const there = words(`${test.said} ${test.rows}`);
    return test.asserted.some((each) => {
      if (each.strength < lost.strength) return false;
      if (each.subject === lost.subject)
        return (
          each.expected === lost.expected ||
          (lost.subject === 'raises' && each.expected.startsWith(`${lost.expected} `))
        );
      const calls = new Set(called(each.subject));
      return (
        names.length > 0 && names.every((name) => calls.has(name)) && [...values].every((value) => there.has(value))
      );
    });
  });
}

const assertionRoot = /^(assert|expect|should|t|chai|strictEqual|deepEqual|deepStrictEqual|equal|ok|throws|rejects)$/;

const countOf = (found: RegExp, text: string): number => text.match(found)?.length ?? 0;
const noErrorHere =
  /\b(?:t|tap|assert)\s?\.\s?(?:assert\s?\.\s?)?(?:error|ifError)\s?\(\s?e(?:rr(?:or)?)?\d*\s?[,)]|\bexpect\s?\(\s?err\w*\s?\)\s?\.\s?(?:toBeNull|toBeUndefined|toBeFalsy|to\s?\.\s?(?:be\s?\.\s?null|not\s?\.\s?exist))\b/g;
const awaitedCall = /\bawait\s+(?:new\s+)?[\w$]+(?:\s*\.\s*[\w$]+)*\s*\(/g;

/** So many callbacks were asked for no error before, where promises are awaited now, which fail by themselves. */
export function awaitedInstead(was: WrittenTest, now: WrittenTest): number {
  const fewer = countOf(noErrorHere, was.body) - countOf(noErrorHere, now.body);
  const more = countOf(awaitedCall, now.body) - countOf(awaitedCall, was.body);
  return Math.max(0, Math.min(fewer, more));
}

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

const isTruthy = (node: ts.Node): boolean =>
  node.kind === ts.SyntaxKind.TrueKeyword ||
  (ts.isNumericLiteral(node) && Number(node.text) !== 0) ||
  (ts.isStringLiteralLike(node) && node.text !== '');
const bare = (node: ts.Expression): ts.Expression =>
  ts.isParenthesizedExpression(node) ? bare(node.expression) : node;
/** A condition that holds whatever stands in it: `… || true`, a length of at least nothing. */
function holdsAlways(given: ts.Expression): boolean {
  const node = bare(given);
  if (!ts.isBinaryExpression(node)) return false;
  const { left, right, operatorToken } = node;
  if (operatorToken.kind === ts.SyntaxKind.BarBarToken)
    return [left, right].some((each) => isTruthy(bare(each)) || holdsAlways(each));
  return (
    operatorToken.kind === ts.SyntaxKind.GreaterThanEqualsToken &&
    ts.isPropertyAccessExpression(left) &&
    /^(?:length|size)$/.test(left.name.text) &&
    ts.isNumericLiteral(right) &&
    Number(right.text) === 0
  );
}

/** It wants of a condition no more than that it holds: only there is one that always does always right. */
function asksForTruth(call: ts.CallExpression): boolean {
  const names: string[] = [];
  for (let at: ts.Expression = call; ts.isCallExpression(at) || ts.isPropertyAccessExpression(at); at = at.expression)
    if (ts.isPropertyAccessExpression(at)) names.unshift(at.name.text);
  if (ts.isIdentifier(call.expression)) names.push(call.expression.text);
  // `expect(…).to.be.true`
  for (let at: ts.Node = call.parent; ts.isPropertyAccessExpression(at); at = at.parent) names.push(at.name.text);
  const matcher = names.at(-1) ?? '';
  if (names.some((name) => /^not(?:[A-Z]|$)/.test(name))) return false;
  if (/^(?:toBe|toEqual|toStrictEqual|equals?|eql?|(?:strict|deep|deepStrict)Equal)$/.test(matcher))
    return call.arguments.some(({ kind }) => kind === ts.SyntaxKind.TrueKeyword);
  return /^(?:expect|assert|ok|isOk|isTrue|true|toBeTruthy|toBeTrue)$/.test(matcher);
}

/** Every literal that an assertion is about; an assertion about nothing else cannot fail. */
function isTrivial(call: ts.CallExpression): boolean {
  const given: ts.Expression[] = [];
  let at: ts.Expression = call;
  while (ts.isCallExpression(at) || ts.isPropertyAccessExpression(at)) {
    if (ts.isCallExpression(at)) given.push(...at.arguments);
    at = at.expression;
  }
  const others = given.filter((each) => !isLiteral(each));
  return given.length > 0 && others.every(holdsAlways) && (others.length === 0 || asksForTruth(call));
}

/** `request(app).get('/').expect(200)`: what a chain has sent is asked there. Null: it is no such call. */
function askedOfChain(node: ts.CallExpression): ts.Expression | null {
  if (!ts.isPropertyAccessExpression(node.expression) || node.expression.name.text !== 'expect') return null;
  if (node.arguments.length === 0) return null;
  let at: ts.Expression = node.expression.expression;
  while (
    ts.isCallExpression(at) &&
    ts.isPropertyAccessExpression(at.expression) &&
    at.expression.name.text === 'expect'
  )
    at = at.expression.expression;
  return ts.isCallExpression(at) ? at : null;
}

function countAssertions(body: ts.Node, file: ts.SourceFile): { real: number; trivial: number } {
  const count = { real: 0, trivial: 0 };
  const visit = (node: ts.Node, inside: boolean): void => {
    let within = inside;
    if (ts.isCallExpression(node) && !inside && askedOfChain(node) !== null && !isHeldBack(node, body, file))
      count.real++;
    if (ts.isCallExpression(node)) {
      const root = rootOf(node);
      const name = ts.isIdentifier(root) ? root.text : '';
      const isContext =
        name === 't' &&
        /^t\.(skip|todo|test|plan|diagnostic|mock|before|after|end|teardown|comment|context|log|timeout|pass\b)/.test(
          node.expression.getText(),
        );
      if (!inside && assertionRoot.test(name) && !isContext) {
        if (isTrivial(node) || isHeldBack(node, body, file)) count.trivial++;
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

/** A title; of one with values in it, `${}` stands for each. */
function titleOf(node: ts.Expression): string | null {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return null;
  return node.head.text + node.templateSpans.map(({ literal }) => `\${}${literal.text}`).join('');
}

/** What loops around a test go through, where it is written there: its table. */
function loopedOver(node: ts.Node, file: ts.SourceFile): string {
  let rows = '';
  for (let at = node.parent; at !== undefined && !ts.isSourceFile(at); at = at.parent)
    if (ts.isForOfStatement(at) && ts.isArrayLiteralExpression(at.expression))
      rows += ` ${tokensOf(at.expression, file)}`;
  return rows;
}

/** The calls by which a file says its tests, groups left out. */
export function testCallsIn(file: ts.SourceFile): TestCall[] {
  const found: TestCall[] = [];
  const visit = (node: ts.Node, groups: readonly string[], skipped: boolean): void => {
    if (ts.isCallExpression(node)) {
      const callee = node.expression.getText(file);
      const kind = /^(?:t\.|test\.|x|f)?(test|it|specify|describe|suite|context)\b((?:\.\w+)*)/.exec(callee);
      const [first] = node.arguments;
      const said = first === undefined ? null : titleOf(first);
      if (kind !== null && said !== null) {
        const body = [...node.arguments]
          .reverse()
          .find((each) => ts.isArrowFunction(each) || ts.isFunctionExpression(each));
        const options = node.arguments.find((each) => ts.isObjectLiteralExpression(each))?.getText(file) ?? '';
        const off =
          skipped ||
          isMadeForNone(node, file) ||
          /^x(it|test|describe)/.test(callee) ||
          /\.(skip|todo|failing|fails|skipIf|runIf)\b/.test(kind[2] ?? '') ||
          /\b(skip|todo)\s*:\s*(?!false|undefined)/.test(options);
        const name = [...groups, said];
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
    const assertions = body === undefined ? { real: 0, trivial: 0 } : countAssertions(body, file);
    const inner = body === undefined ? '' : tidy(tokensOf(body.body, file));
    return {
      name,
      line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
      skipped:
        skipped ||
        body === undefined ||
        endsEarly(body.body, file) ||
        /^\{ (?:return ;|(?:t|this|ctx|context) \. skip \()/.test(inner),
      only,
      assertions: assertions.real,
      trivialAssertions: assertions.trivial,
      body: inner,
      said: body === undefined ? '' : saidIn(body.body, file),
      rows: callee + loopedOver(node, file),
      asserted: body === undefined ? [] : assertedIn(body, file),
    };
  });
}

/** A body without calls that stand for themselves, but for those that assert, or are named as if they did. */
function saidIn(body: ts.Node, file: ts.SourceFile): string {
  if (!ts.isBlock(body)) return tokensOf(body, file);
  return body.statements
    .filter((each) => {
      if (ts.isTryStatement(each) || ts.isIfStatement(each)) {
        const { real, trivial } = countAssertions(each, file);
        return real > 0 || trivial === 0;
      }
      if (!ts.isExpressionStatement(each)) return true;
      const call = ts.isAwaitExpression(each.expression) ? each.expression.expression : each.expression;
      if (!ts.isCallExpression(call)) return true;
      const { real, trivial } = countAssertions(each, file);
      if (trivial > 0) return real > 0;
      return real > 0 || /assert|expect|check|verif|should|must/i.test(call.expression.getText(file));
    })
    .map((each) => tokensOf(each, file))
    .join(' ');
}

const depthOf = (line: string): number => line.length - line.trimStart().length;

/** Names that lines of Python make empty lists, and do no more with than to go through them. */
function emptyIn(lines: readonly string[]): Set<string> {
  const times = new Map<string, number>();
  const made = new Set<string>();
  for (const line of lines) {
    for (const [word] of line.matchAll(/\w+/g)) times.set(word, (times.get(word) ?? 0) + 1);
    const name = /^[ \t]*(\w+)[ \t]*(?::[^=]+)?=[ \t]*(?:\[[ \t]*\]|\([ \t]*\))[ \t]*$/.exec(line)?.[1];
    if (name !== undefined) made.add(name);
  }
  return new Set([...made].filter((name) => times.get(name) === 2));
}

/** Lines of a test in Python, none of them blank, that stand in a `try` whose failure goes no further, or in a loop over nothing. */
function heldBackIn(lines: readonly string[]): Set<number> {
  const depths = lines.map(depthOf);
  const found = new Set<number>();
  let empty: Set<string> | undefined;
  const blockEnd = (from: number, depth: number): number => {
    let end = from + 1;
    while (end < lines.length && depths[end]! > depth) end++;
    return end;
  };
  for (const [at, line] of lines.entries()) {
    if (found.has(at)) continue;
    const list = /^\s*(?:async\s+)?for\s.+\sin\s+(\[\s*\]|\(\s*\)|\w+)\s*:\s*$/.exec(line)?.[1];
    if (line.trim() !== 'try:' && list === undefined) continue;
    const depth = depths[at]!;
    const end = blockEnd(at, depth);
    if (list !== undefined) {
      if (!/^\w/.test(list) || (empty ??= emptyIn(lines)).has(list))
        for (let inside = at + 1; inside < end; inside++) found.add(inside);
      continue;
    }
    let next = end;
    let handled = '';
    while (next < lines.length && depths[next]! === depth && /^\s*except\b/.test(lines[next]!)) {
      handled += lines.slice(next + 1, blockEnd(next, depth)).join('\n');
      next = blockEnd(next, depth);
    }
    const caught = /^[ \t]*except(?:\s*:|\s+\(?(?:Exception|BaseException|AssertionError)\b)/m;
    if (caught.test(lines.slice(end, next).join('\n')) && !/\b(?:raise|assert|fail|pytest)\b|=/.test(handled))
      for (let inside = at + 1; inside < end; inside++) found.add(inside);
  }
  return found;
}

/** Near is not the same: `approx` with a tolerance of its own that is more than a hundredth. */
const isWide = (expected: string): boolean => {
  const approx = /\bapprox\(\s*-?([\d_.]+)(?![\d_.])[^)]{0,300}?\b(abs|rel)\s*=\s*([\d_.e-]+)/.exec(expected);
  if (approx === null) return false;
  const [, value = '', kind, tolerance = ''] = approx;
  const number = Number(value.replaceAll('_', ''));
  return Number(tolerance.replaceAll('_', '')) > 0.01 * (kind === 'rel' ? 1 : Math.max(number, 1));
};

function pythonTests(text: string): WrittenTest[] {
  // Blank lines say nothing, and stand in every block around them.
  const numbered = text.split('\n').map((line, index) => ({ line, number: index + 1 })).filter(({ line }) => line.trim() !== ''); // prettier-ignore
  const lines = numbered.map(({ line }) => line);
  const found: WrittenTest[] = [];
  for (let at = 0; at < lines.length; at++) {
    const head = /^(\s*)(?:async\s+)?def\s+(test\w*)\s*\(/.exec(lines[at]!);
    if (head === null) continue;
    const indent = head[1]!.length;
    let end = at + 1;
    while (end < lines.length && depthOf(lines[end]!) > indent) end++;
    const raw = lines.slice(at + 1, end);
    const body = raw.map((line) => withoutRemark(line.trim())).filter((line) => !line.startsWith('#'));
    let decorators = '';
    for (let above = at - 1; above >= 0 && lines[above]!.trim().startsWith('@'); above--) decorators += lines[above];
    const held = heldBackIn(raw);
    const open = raw.filter((_line, index) => !held.has(index)).map((line) => withoutRemark(line.trim())).filter((line) => !line.startsWith('#')); // prettier-ignore
    const unheard = raw.filter((line, index) => held.has(index) && /^\s*(?:assert\b|self\.assert)/.test(line)).length;
    const asserting = raw.findIndex((line) => /^\s*(?:assert\b|self\.assert|with pytest\.raises)/.test(line));
    const leaving = raw.findIndex(
      (line, index) =>
        (index < asserting || asserting < 0) &&
        /^\s*(?:return|pytest\.skip\(.*\)|self\.skipTest\(.*\))\s*$/.test(line) &&
        surroundings.test(raw[index - 1] ?? ''),
    );
    const asserts = body.filter((line) => /^assert\b|self\.assert|pytest\.raises|\.assert_/.test(line));
    const trivial = asserts.filter(pythonTrivial);
    found.push({
      name: head[2]!,
      line: numbered[at]!.number,
      skipped:
        /mark\.(skip|xfail)|unittest\.skip/.test(decorators) ||
        /parametrize\(\s*(["'])[^"']*\1\s*,\s*(?:\[\s*\]|\(\s*\))/.test(decorators) ||
        leaving >= 0 ||
        /^(pytest\.skip\(|return$|self\.skipTest\()/.test(body[0] ?? ''),
      only: false,
      assertions: asserts.length - trivial.length - unheard,
      trivialAssertions: trivial.length + unheard,
      body: body.join(' '),
      said: open.filter((line) => !/^[\w.]+\(/.test(line) || /assert|expect|check|verif|should/i.test(line)).join(' '),
      rows: decorators,
      asserted: open.flatMap(pythonAsserted),
    });
  }
  return found;
}
