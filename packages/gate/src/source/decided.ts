import ts from 'typescript';
import { parseScript, unwrapped } from './functions.ts';
import { isPython } from './paths.ts';
import { pythonLines } from './python.ts';

/** A place where the answer is known without running anything: what stands behind it is never, or always, done. */
export interface Decided {
  readonly line: number;
  readonly text: string;
  readonly holds: 'never' | 'always';
}

type Literal = string | number | boolean | null | undefined;
/** What is known of a piece of text that always means the same: `subject operator literal`. */
interface Fact {
  readonly subject: string;
  readonly operator: '===' | '!==' | '<' | '<=' | '>' | '>=' | 'truthy' | 'falsy';
  readonly literal: Literal;
  /** Compared by two signs, with which a text may be like a number. */
  readonly loose: boolean;
  /** Only its opposite is known not to hold, which for what is no number says less. */
  readonly denied: boolean;
  /** Says the same until the end of its function: a name that nothing is assigned to. */
  readonly lasts: boolean;
}

const isFalsy = (literal: Literal): boolean => !literal;
const opposite: Record<Fact['operator'], Fact['operator']> = {
  '===': '!==',
  '!==': '===',
  '<': '>=',
  '>=': '<',
  '>': '<=',
  '<=': '>',
  truthy: 'falsy',
  falsy: 'truthy',
};
const denied = (fact: Fact): Fact => ({ ...fact, operator: opposite[fact.operator], denied: !fact.denied });

const ordered = (one: Fact): { from: number; to: number; openFrom: boolean; openTo: boolean } | null => {
  if (typeof one.literal !== 'number') return null;
  switch (one.operator) {
    case '<':
    case '<=':
      return { from: -Infinity, to: one.literal, openFrom: false, openTo: one.operator === '<' };
    case '>':
    case '>=':
      return { from: one.literal, to: Infinity, openFrom: one.operator === '>', openTo: false };
    case '===':
      return { from: one.literal, to: one.literal, openFrom: false, openTo: false };
    case '!==':
    case 'truthy':
    case 'falsy':
      return null;
  }
};

/** No value makes both of them true. */
function excludes(one: Fact, other: Fact): boolean {
  if (one.subject !== other.subject) return false;
  const both = `${one.operator} ${other.operator}`;
  if (both === 'truthy falsy' || both === 'falsy truthy') return true;
  for (const [is, what] of [
    [one, other],
    [other, one],
  ] as const) {
    if (is.operator !== '===') continue;
    if (is.loose || what.loose) {
      if (!(is.loose && what.loose)) continue;
      const [a, b] = [Number(is.literal), Number(what.literal)];
      if (what.operator === '!==' && what.literal === is.literal) return true;
      if (what.operator === '===' && what.literal !== is.literal && (Number.isNaN(a) || Number.isNaN(b) ? typeof is.literal === typeof what.literal : a !== b)) return true; // prettier-ignore
      continue;
    }
    if (what.operator === '!==' && what.literal === is.literal) return true;
    if (what.operator === '===' && typeof what.literal === typeof is.literal && what.literal !== is.literal)
      return true;
    if (what.operator === 'truthy' && isFalsy(is.literal)) return true;
    if (what.operator === 'falsy' && !isFalsy(is.literal)) return true;
  }
  const [a, b] = [ordered(one), ordered(other)];
  // What is no number is neither less nor more: two denials may both hold of it.
  if (a === null || b === null || (one.denied && other.denied)) return false;
  const [from, to] = [Math.max(a.from, b.from), Math.min(a.to, b.to)];
  if (from > to) return true;
  const isOpen = (at: number): boolean =>
    (a.openFrom && a.from === at) ||
    (b.openFrom && b.from === at) ||
    (a.openTo && a.to === at) ||
    (b.openTo && b.to === at);
  return from === to && isOpen(from);
}
const nothing: Fact = { subject: '', operator: '===', literal: null, loose: false, denied: false, lasts: true };
const never: readonly Fact[] = [nothing, denied(nothing)];
/** Code that somebody made has hundreds of ways out one after another, or of parts in a condition. */
const mostKnown = 100;
const isImpossible = (facts: readonly Fact[], known: readonly Fact[] = []): boolean =>
  facts
    .slice(0, mostKnown)
    .some(
      (one, at, all) =>
        all.slice(at + 1).some((other) => excludes(one, other)) || known.some((other) => excludes(one, other)),
    );

const withoutBrackets = (node: ts.Expression): ts.Expression =>
  ts.isParenthesizedExpression(node) ? withoutBrackets(node.expression) : node;

function literalOf(node: ts.Expression): { value: Literal } | null {
  const bare = unwrapped(node);
  if (ts.isStringLiteralLike(bare)) return { value: bare.text };
  if (ts.isNumericLiteral(bare)) return { value: Number(bare.text) };
  if (
    ts.isPrefixUnaryExpression(bare) &&
    bare.operator === ts.SyntaxKind.MinusToken &&
    ts.isNumericLiteral(bare.operand)
  )
    return { value: -Number(bare.operand.text) };
  if (bare.kind === ts.SyntaxKind.TrueKeyword) return { value: true };
  if (bare.kind === ts.SyntaxKind.FalseKeyword) return { value: false };
  if (bare.kind === ts.SyntaxKind.NullKeyword) return { value: null };
  if (ts.isIdentifier(bare) && bare.text === 'undefined') return { value: undefined };
  return null;
}

/** Names that are written after they were made, anywhere in the file. */
function writtenNames(file: ts.SourceFile): ReadonlySet<string> {
  const written = new Set<string>();
  const take = (target: ts.Node): void => {
    if (ts.isIdentifier(target)) written.add(target.text);
    else ts.forEachChild(target, take);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node) && isAssignment(node.operatorToken.kind)) take(node.left);
    if ((ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) && isStep(node.operator))
      take(node.operand);
    if ((ts.isForOfStatement(node) || ts.isForInStatement(node)) && !ts.isVariableDeclarationList(node.initializer))
      take(node.initializer);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return written;
}

/** Names that a function makes once and for itself: parameters, and what it declares. */
function ownNames(of: ts.SignatureDeclaration): ReadonlySet<string> {
  const times = new Map<string, number>();
  const take = (name: ts.BindingName): void => {
    if (ts.isIdentifier(name)) times.set(name.text, (times.get(name.text) ?? 0) + 1);
    else for (const each of name.elements) if (ts.isBindingElement(each)) take(each.name);
  };
  const visit = (node: ts.Node): void => {
    const isNamed = ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node) || ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node); // prettier-ignore
    if (isNamed && node.name !== undefined && ts.isIdentifier(node.name)) take(node.name);
    if (ts.isVariableDeclaration(node)) {
      take(node.name);
      // `var` is there before it is set.
      if ((node.parent.flags & ts.NodeFlags.BlockScoped) === 0) take(node.name);
    }
    if (!ts.isFunctionLike(node)) ts.forEachChild(node, visit);
  };
  for (const each of of.parameters) take(each.name);
  ts.forEachChild(of, visit);
  return new Set([...times].filter(([, count]) => count === 1).map(([name]) => name));
}

const isStep = (kind: ts.SyntaxKind): boolean =>
  kind === ts.SyntaxKind.PlusPlusToken || kind === ts.SyntaxKind.MinusMinusToken;
const isAssignment = (kind: ts.SyntaxKind): boolean =>
  kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;

class Reader {
  readonly #file: ts.SourceFile;
  readonly #written: ReadonlySet<string>;
  #own: ReadonlySet<string> = new Set();
  readonly found: Decided[] = [];

  constructor(file: ts.SourceFile) {
    this.#file = file;
    this.#written = writtenNames(file);
  }

  /** Text that means the same each time it is read, as long as nothing is called in between. */
  #subject(node: ts.Expression): { text: string; lasts: boolean } | null {
    const bare = unwrapped(node);
    if (ts.isIdentifier(bare))
      return { text: bare.text, lasts: this.#own.has(bare.text) && !this.#written.has(bare.text) };
    if (bare.kind === ts.SyntaxKind.ThisKeyword) return { text: 'this', lasts: false };
    if (ts.isTypeOfExpression(bare)) {
      const of = this.#subject(bare.expression);
      return of === null ? null : { text: `typeof ${of.text}`, lasts: of.lasts };
    }
    if (ts.isPropertyAccessExpression(bare)) {
      const of = this.#subject(bare.expression);
      return of === null ? null : { text: `${of.text}.${bare.name.text}`, lasts: false };
    }
    if (ts.isElementAccessExpression(bare) && ts.isNumericLiteral(bare.argumentExpression)) {
      const of = this.#subject(bare.expression);
      return of === null ? null : { text: `${of.text}[${bare.argumentExpression.text}]`, lasts: false };
    }
    return null;
  }

  /** What has to hold for a condition to hold, or not to. */
  #facts(node: ts.Expression, holds: boolean): readonly Fact[] {
    const bare = unwrapped(node);
    if (ts.isPrefixUnaryExpression(bare) && bare.operator === ts.SyntaxKind.ExclamationToken)
      return this.#facts(bare.operand, !holds);
    if (ts.isBinaryExpression(bare)) {
      const { kind } = bare.operatorToken;
      if (kind === ts.SyntaxKind.AmpersandAmpersandToken || kind === ts.SyntaxKind.BarBarToken)
        return (kind === ts.SyntaxKind.AmpersandAmpersandToken) === holds
          ? [...this.#facts(bare.left, holds), ...this.#facts(bare.right, holds)]
          : [];
      const fact = this.#comparison(bare);
      return fact === null ? [] : [holds ? fact : denied(fact)];
    }
    // A word or a number as a condition is somebody's way to write a flag, and so is one that is called something else.
    if (bare.kind === ts.SyntaxKind.TrueKeyword || bare.kind === ts.SyntaxKind.FalseKeyword)
      return withoutBrackets(node) === bare && (bare.kind === ts.SyntaxKind.TrueKeyword) !== holds ? never : [];
    if (literalOf(bare) !== null) return [];
    const subject = this.#subject(bare);
    if (subject === null || subject.text.startsWith('typeof ')) return [];
    const { text, lasts } = subject;
    return [
      { subject: text, operator: holds ? 'truthy' : 'falsy', literal: undefined, loose: false, denied: false, lasts },
    ];
  }

  #comparison(node: ts.BinaryExpression): Fact | null {
    const mirrored = { '<': '>', '<=': '>=', '>': '<', '>=': '<=', '===': '===', '!==': '!==' } as const;
    const written = node.operatorToken.getText(this.#file);
    const operator = (written === '==' || written === '!=' ? `${written}=` : written) as keyof typeof mirrored;
    if (!(operator in mirrored)) return null;
    const [left, right] = [literalOf(node.left), literalOf(node.right)];
    const literal = right ?? left;
    if (literal === null || (left !== null && right !== null)) return null;
    const loose = written === '==' || written === '!=';
    // With two signs many values are like these.
    if (loose && isFalsy(literal.value)) return null;
    const subject = this.#subject(right === null ? node.right : node.left);
    if (subject === null) return null;
    const { text, lasts } = subject;
    return { subject: text, operator: right === null ? mirrored[operator] : operator, literal: literal.value, loose, denied: false, lasts }; // prettier-ignore
  }

  #judge(condition: ts.Expression, known: readonly Fact[]): void {
    const { text, line } = this.#place(condition);
    // A call may change whatever is no name of its own.
    const calls = callsSomething(condition);
    const usable = (facts: readonly Fact[]): readonly Fact[] => (calls ? facts.filter(({ lasts }) => lasts) : facts);
    if (isImpossible(usable(this.#facts(condition, true)), known)) this.found.push({ line, text, holds: 'never' });
    else if (isImpossible(usable(this.#facts(condition, false)))) this.found.push({ line, text, holds: 'always' });
  }

  #place(node: ts.Node): { text: string; line: number } {
    return {
      text: node.getText(this.#file).replace(/\s+/g, ' ').slice(0, 200),
      line: this.#file.getLineAndCharacterOfPosition(node.getStart(this.#file)).line + 1,
    };
  }

  visit(node: ts.Node, known: readonly Fact[]): void {
    if (ts.isFunctionLike(node)) {
      // It runs at another time, when names of the same spelling may be its own.
      const outer = this.#own;
      this.#own = ownNames(node);
      ts.forEachChild(node, (child) => this.visit(child, []));
      this.#own = outer;
      return;
    }
    if (ts.isIfStatement(node)) {
      if (!makesAGenerator(node)) this.#judge(node.expression, known);
      this.visit(node.expression, known);
      this.visit(node.thenStatement, [...known, ...this.#lasting(node.expression, true)]);
      if (node.elseStatement !== undefined)
        this.visit(node.elseStatement, [...known, ...this.#lasting(node.expression, false)]);
      return;
    }
    if (ts.isConditionalExpression(node)) this.#judge(node.condition, known);
    // One that is `true` or `false` is a loop without an end, or none, by name.
    else if ((ts.isWhileStatement(node) || ts.isForStatement(node)) && saysMore(conditionOf(node)))
      this.#judge(conditionOf(node)!, []);
    else if (ts.isBinaryExpression(node) && isLogical(node) && isOutermost(node) && !hasFlag(node)) this.#judge(node, []); // prettier-ignore
    if (ts.isBlock(node) || ts.isSourceFile(node)) {
      let here = known;
      for (const each of node.statements) {
        this.visit(each, here);
        if (ts.isIfStatement(each) && each.elseStatement === undefined && leaves(each.thenStatement))
          here = [...here, ...this.#lasting(each.expression, false)].slice(-mostKnown);
      }
      return;
    }
    ts.forEachChild(node, (child) => this.visit(child, known));
  }

  #lasting(condition: ts.Expression, holds: boolean): readonly Fact[] {
    const facts = this.#facts(condition, holds).filter(({ lasts }) => lasts);
    return isImpossible(facts) ? [] : facts;
  }
}

/** `if (false) yield …`: only the word counts. */
function makesAGenerator(node: ts.IfStatement): boolean {
  if (node.expression.kind !== ts.SyntaxKind.FalseKeyword) return false;
  const [only] = ts.isBlock(node.thenStatement) ? node.thenStatement.statements : [node.thenStatement];
  return only !== undefined && ts.isExpressionStatement(only) && ts.isYieldExpression(only.expression);
}

const conditionOf = (node: ts.WhileStatement | ts.ForStatement): ts.Expression | undefined =>
  ts.isWhileStatement(node) ? node.expression : node.condition;
const saysMore = (condition: ts.Expression | undefined): boolean =>
  condition !== undefined && ts.isBinaryExpression(withoutBrackets(condition));

const isLogical = (node: ts.Node): boolean =>
  ts.isBinaryExpression(node) &&
  [ts.SyntaxKind.AmpersandAmpersandToken, ts.SyntaxKind.BarBarToken].includes(node.operatorToken.kind);
/** It is no part of a condition that is judged as a whole. */
function isOutermost(node: ts.Node): boolean {
  const { parent } = node;
  if (
    ts.isParenthesizedExpression(parent) ||
    isLogical(parent) ||
    (ts.isPrefixUnaryExpression(parent) && parent.operator === ts.SyntaxKind.ExclamationToken)
  )
    // prettier-ignore
    return isOutermost(parent);
  if (ts.isIfStatement(parent) || ts.isWhileStatement(parent)) return parent.expression !== node;
  if (ts.isForStatement(parent) || ts.isConditionalExpression(parent)) return parent.condition !== node;
  return true;
}
/** `given || true`: a default, whatever it is worth. */
const hasFlag = (node: ts.Node): boolean =>
  node.kind === ts.SyntaxKind.TrueKeyword ||
  node.kind === ts.SyntaxKind.FalseKeyword ||
  ((isLogical(node) || ts.isParenthesizedExpression(node)) &&
    ts.forEachChild(node, (child) => (hasFlag(child) ? true : undefined)) === true);

function callsSomething(node: ts.Node): boolean {
  return (
    ts.isCallExpression(node) ||
    ts.isNewExpression(node) ||
    ts.isAwaitExpression(node) ||
    ts.isYieldExpression(node) ||
    ts.isDeleteExpression(node) ||
    ((ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) && isStep(node.operator)) ||
    ts.isTaggedTemplateExpression(node) ||
    (ts.isBinaryExpression(node) && isAssignment(node.operatorToken.kind)) ||
    ts.forEachChild(node, (child) => (callsSomething(child) ? true : undefined)) === true
  );
}

function leaves(node: ts.Statement): boolean {
  const last = ts.isBlock(node) ? node.statements.at(-1) : node;
  return (
    last !== undefined &&
    (ts.isReturnStatement(last) ||
      ts.isThrowStatement(last) ||
      ts.isContinueStatement(last) ||
      ts.isBreakStatement(last))
  );
}

const pythonLiteral = /^(?:-?\d+(?:\.\d+)?|'[^'\\]*'|"[^"\\]*"|True|False|None)$/;
const literalOfPython = (text: string): Literal =>
  text === 'True' ? true : text === 'False' ? false : text === 'None' ? null : /^['"]/.test(text) ? text.slice(1, -1) : Number(text); // prettier-ignore
const comparedAs: Record<string, Fact['operator']> = { '==': '===', '!=': '!==', is: '===', 'is not': '!==', '<': '<', '<=': '<=', '>': '>', '>=': '>=' }; // prettier-ignore

/** One part of a condition in Python that is made of nothing but `and`. */
function pythonFacts(part: string): readonly Fact[] {
  const base = { loose: false, denied: false, lasts: false };
  if (part === 'False') return never;
  const [, not, name] = /^(not\s+)?((?!True\b|None\b)[A-Za-z_][\w.]*)$/.exec(part) ?? [];
  if (name !== undefined) return [{ ...base, subject: name, operator: not === undefined ? 'truthy' : 'falsy', literal: undefined }]; // prettier-ignore
  const words = part.split(/\s*(==|!=|<=|>=|<|>|\bis not\b|\bis\b)\s*/);
  return words.flatMap((sign, at): Fact[] => {
    const operator = at % 2 === 1 ? comparedAs[sign] : undefined;
    const [left, right] = [words[at - 1] ?? '', words[at + 1] ?? ''];
    const [subject, literal] = pythonLiteral.test(right) ? [left, right] : [right, left];
    if (operator === undefined || !pythonLiteral.test(literal) || !/^[A-Za-z_][\w.]*$/.test(subject)) return [];
    const mirrored = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' } as const;
    const turned = literal === left && operator in mirrored ? mirrored[operator as keyof typeof mirrored] : operator;
    return [{ ...base, subject, operator: turned, literal: literalOfPython(literal) }];
  });
}

/** Conditions whose answer is known from what they say themselves, or from the ways out before them. */
export function decidedConditions(path: string, text: string): Decided[] {
  if (!isPython(path)) {
    const file = parseScript(path, text);
    const reader = new Reader(file);
    reader.visit(file, []);
    return reader.found;
  }
  const lines = pythonLines(text);
  return lines.flatMap(({ line, text: whole, bare }, at): Decided[] => {
    const joined = whole.replace(/\\\s+/g, ' ');
    const said = /^(?:(?:el)?if|while)\s+(.*):$/.exec(joined)?.[1];
    const condition = /^\(([^()]*)\)$/.exec(said ?? '')?.[1] ?? said;
    // What is called in between may change what is read; a word within a text is no word.
    if (
      condition === undefined ||
      /[([]|<<|>>|:=|\b(?:or|await|yield)\b/.test(bare.replace(/^\w+\s+\(([^()]*)\):$/, '$1'))
    )
      return [];
    const parts = condition.trim().split(/\s+and\s+/);
    if (parts.length > mostKnown || parts.length !== bare.split(/\s+and\s+/).length) return [];
    // Makes a generator of its function, or is read by whoever asks for types.
    if (parts.includes('False') && /^(?:yield|import|from)\b/.test(lines[at + 1]?.bare ?? '')) return [];
    if (/^while\b/.test(joined) && parts.length === 1) return [];
    return isImpossible(parts.flatMap(pythonFacts)) ? [{ line, text: condition.slice(0, 200), holds: 'never' }] : [];
  });
}
