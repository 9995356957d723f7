import ts from 'typescript';
import { bearingOf, isHollow, pythonTakes, type Bearing } from './hollow.ts';
import { isPython, isTypeScript } from './paths.ts';

export interface SourceFunction {
  /** `Parser.parse`, `total`, `Queue.constructor`. */
  name: string;
  line: number;
  /** The function's own tokens, so that comments and layout do not make it another. */
  tokens: string;
  /** Of these, what is gone when it is emptied: a constructor goes on calling `super`, in whatever words. */
  work: string;
  shape: 'empty' | 'constant' | 'full';
  /** What its body says about being unfinished, if it does. */
  placeholder: string | null;
  /** It answers the same whatever it is given, under a name that says otherwise. */
  hollow: boolean;
  /** The whole file with this one function emptied; for one that is empty already, with a body that throws. */
  emptied: string;
}

const placeholderText = /not\s*(?:yet\s*)?implemented|unimplemented|\b(?:todo|fixme)\b/i;

export function functionsIn(path: string, text: string): SourceFunction[] {
  return isPython(path) ? pythonFunctions(text) : scriptFunctions(path, text);
}

/** An expression without what changes nothing of what it is: brackets, and words to the compiler. */
export const unwrapped = (node: ts.Expression): ts.Expression =>
  ts.isParenthesizedExpression(node) ||
  ts.isAsExpression(node) ||
  ts.isNonNullExpression(node) ||
  ts.isSatisfiesExpression(node)
    ? unwrapped(node.expression)
    : node;

/** Nobody nests like this, and what walks a tree of syntax, one call within the other, does not come back from much more. */
const mostDepth = 500;

/** How a script is taken apart; null where it is nested so deeply that what walks it would not come back. */
export function readScript(path: string, text: string): ts.SourceFile | null {
  const kind = /\.[mc]?tsx?$/.test(path)
    ? path.endsWith('x')
      ? ts.ScriptKind.TSX
      : ts.ScriptKind.TS
    : path.endsWith('x')
      ? ts.ScriptKind.JSX
      : ts.ScriptKind.JS;
  try {
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, kind);
    return text.length > mostDepth && isDeeper(file, mostDepth) ? null : file;
  } catch (error) {
    if (error instanceof RangeError) return null; // the parser itself did not come back
    throw error;
  }
}

/** Walked with a list, so that depth costs no stack. */
function isDeeper(file: ts.SourceFile, most: number): boolean {
  let row: ts.Node[] = [file];
  for (let depth = 0; row.length > 0; depth++) {
    if (depth > most) return true;
    const next: ts.Node[] = [];
    for (const node of row) ts.forEachChild(node, (child) => void next.push(child));
    row = next;
  }
  return false;
}

/** One that is nested too deeply holds nothing: the check on concealment refuses it, and nothing else breaks on it. */
export function parseScript(path: string, text: string): ts.SourceFile {
  return readScript(path, text) ?? ts.createSourceFile(path, '', ts.ScriptTarget.Latest, true);
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
    if (ts.isBinaryExpression(parent) && assigns.has(parent.operatorToken.kind)) return parent.left.getText();
    if (ts.isExportAssignment(parent)) return 'default';
    return heldBy(parent);
  }
  return null;
}

const assigns: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.EqualsToken,
  ts.SyntaxKind.QuestionQuestionEqualsToken,
  ts.SyntaxKind.BarBarEqualsToken,
  ts.SyntaxKind.AmpersandAmpersandEqualsToken,
]);
/** Calls that take a step of the function around them, or end a process: what they are given is no function of its own. */
const takesStep =
  /\.(?:map|filter|forEach|flatMap|reduce|reduceRight|some|every|find|findLast|findIndex|sort|toSorted|then|catch|finally|on|once|off|addListener|addEventListener|replace|replaceAll|from)$|^(?:setTimeout|setInterval|setImmediate|queueMicrotask|Promise)$|^process\./;

/**
 * The name under which a function without one of its own is kept, at the top of a file: handed to a wrapper
 * (`const handler = wrap(async () => …)`), to a registry (`app.get('/x', () => …)`), in a list, behind a condition.
 */
function heldBy(from: ts.Node): string | null {
  let at: ts.Node = from;
  let called: string | null = null;
  for (;;) {
    if (ts.isCallExpression(at) || ts.isNewExpression(at)) {
      const callee = at.expression.getText();
      if (takesStep.test(callee)) return null;
      const [first] = at.arguments ?? [];
      called ??= first !== undefined && ts.isStringLiteralLike(first) ? `${callee}(${first.getText()})` : callee;
    } else if (ts.isVariableDeclaration(at) || ts.isPropertyAssignment(at) || ts.isPropertyDeclaration(at)) {
      return at.name.getText();
    } else if (ts.isBinaryExpression(at)) {
      if (assigns.has(at.operatorToken.kind)) return at.left.getText();
    } else if (ts.isExportAssignment(at)) {
      return 'default';
    } else if (ts.isExpressionStatement(at)) {
      return called === null || !ts.isSourceFile(at.parent) ? null : called.replace(/\s+/g, ' ').slice(0, 80);
    } else if (
      !ts.isArrayLiteralExpression(at) &&
      !ts.isConditionalExpression(at) &&
      !ts.isParenthesizedExpression(at) &&
      !ts.isAsExpression(at) &&
      !ts.isSatisfiesExpression(at) &&
      !ts.isNonNullExpression(at) &&
      !ts.isAwaitExpression(at) &&
      !ts.isPropertyAccessExpression(at)
    ) {
      return null;
    }
    at = at.parent;
  }
}

/**
 * The same program in other letters: an empty comment before every token. A test that notices this looks at the text of the
 * source, not at what it does.
 */
export function reworded(path: string, text: string): string {
  if (isPython(path)) return `${text.trimEnd()}\n# \n`;
  const file = parseScript(path, text);
  const places: number[] = [];
  const visit = (node: ts.Node): void => {
    if (node.kind >= ts.SyntaxKind.FirstJSDocNode && node.kind <= ts.SyntaxKind.LastJSDocNode) return;
    // Text and templates hold no comments; a comment between two of their tokens would be part of what they say.
    if (
      ts.isTemplateExpression(node) ||
      ts.isJsxElement(node) ||
      ts.isJsxFragment(node) ||
      ts.isJsxSelfClosingElement(node)
    )
      return void places.push(node.getStart(file));
    const children = node.getChildren(file);
    if (children.length > 0) return children.forEach(visit);
    if (node.getWidth(file) > 0) places.push(node.getStart(file));
  };
  visit(file);
  let out = '';
  let from = 0;
  for (const place of places.sort((a, b) => a - b)) {
    out += `${text.slice(from, place)}/**/`;
    from = place;
  }
  const edited = out + text.slice(from);
  const shebang = /^#!/.test(text);
  const after = parseScript(path, edited);
  const same = !shebang && tokensOf(after, after) === tokensOf(file, file);
  return same ? edited : `${text.trimEnd()}\n/**/\n`;
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
          const whole = [...inside, name].join('.');
          const bearing = bearingOf(node, whole, shape);
          found.push({
            name: whole,
            line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
            tokens: tokensOf(node, file),
            work:
              superCalls.length === 0
                ? tokensOf(node, file)
                : [...node.parameters, ...block!.statements.filter((each) => !superCalls.includes(each))]
                    .map((each) => tokensOf(each, file))
                    .join(' '),
            shape,
            placeholder: unfinished === null ? null : unfinished.replace(/\s+/g, ' ').slice(0, 120),
            hollow: bearing !== null && isHollow(bearing),
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

/** Its decorators. */
function marksAbove(lines: readonly string[], at: number): string[] {
  const marks: string[] = [];
  for (let above = at - 1; above >= 0 && /^\s*@/.test(lines[above]!); above--) marks.push(lines[above]!.trim());
  return marks;
}

/** Those that leave to a function what it does. */
const keepsItsOwn = /^@(?:property|staticmethod|classmethod|cached_property|functools\.\w+|cache|lru_cache)\b/;

/**
 * Is this what other languages write without a body: a method of a protocol, or an abstract one of a class that cannot be made while it has
 * such, or an overload? Nothing runs it, whatever stands in it, as long as it does nothing.
 */
function isDeclaredOnly(lines: readonly string[], at: number, headEnd: number, end: number, bases: string): boolean {
  const code = lines
    .slice(headEnd + 1, end)
    .join('\n')
    .replace(/^\s*(?:"""[\s\S]*?"""|'''[\s\S]*?''')/, '')
    .replace(/#.*$/gm, '')
    .trim();
  if (!/^(?:\.\.\.|pass|raise NotImplementedError(?:\(\))?)?$/.test(code)) return false;
  const source = lines.join('\n');
  const comes = (module: string, name: string): boolean =>
    new RegExp(`^from ${module} import [^\\n]*(?:\\([^)]*)?\\b${name}\\b`, 'm').test(source) ||
    new RegExp(`^import ${module}\\b`, 'm').test(source);
  const marks = marksAbove(lines, at);
  if (marks.some((mark) => /^@(?:\w+\.)?overload$/.test(mark)) && comes('(?:typing|typing_extensions)', 'overload'))
    return true;
  if (/\bProtocol\b/.test(bases) && comes('(?:typing|typing_extensions)', 'Protocol') && !code.startsWith('pass'))
    return true;
  return (
    marks.some((mark) => /^@(?:\w+\.)?abstractmethod$/.test(mark)) &&
    /\b(?:ABC|ABCMeta|Protocol)\b/.test(bases) &&
    comes('abc', 'abstractmethod')
  );
}

/** More lines than this no head of a class has. */
const mostHeadLines = 20;

/** The last line of a class's head, and all that stands in its brackets but for `object`. */
function classHead(lines: readonly string[], at: number): { readonly bases: string; readonly end: number } {
  let end = at;
  const isOpen = (): boolean => {
    const head = lines.slice(at, end + 1).join(' ');
    return head.split('(').length > head.split(')').length;
  };
  while (end < Math.min(lines.length - 1, at + mostHeadLines) && isOpen()) end++;
  const bases = /\(([^)]*)\)/.exec(lines.slice(at, end + 1).join(' '))?.[1] ?? '';
  return { bases: bases.replace(/\bobject\b/, '').trim(), end };
}

/** @param bases of the class that it stands in; undefined: it stands in none */
function pythonBearing(
  lines: readonly string[],
  at: number,
  headEnd: number,
  name: string,
  shape: SourceFunction['shape'],
  only: string,
  body: string,
  bases: string | undefined,
): Bearing | null {
  // Who is of another class, or decorated, is called by the rules of others.
  if (bases !== undefined && bases !== '') return null;
  if (!marksAbove(lines, at).every((mark) => keepsItsOwn.test(mark))) return null;
  const given = pythonTakes(lines.slice(at, headEnd + 1).join('\n'), bases !== undefined);
  const same = /^return (\w+)$/.exec(only)?.[1];
  if (shape === 'full' && (same === undefined || same !== given[0])) return null;
  return {
    name,
    takes: given.length,
    answers: shape === 'full' ? 'the same' : shape === 'empty' ? 'nothing' : 'a constant',
    isText: /^return ["']/.test(only),
    says:
      /^\s*[rRuU]?(?:"""([\s\S]*?)(?:\n\s*\n|""")|\'\'\'([\s\S]*?)(?:\n\s*\n|\'\'\'))/.exec(body)?.slice(1).join('') ??
      '',
    ofState: bases !== undefined && lines.some((line) => /^\s+self\.\w+\s*(?::[^=]+)?=/.test(line)),
  };
}

function pythonFunctions(text: string): SourceFunction[] {
  const lines = text.split('\n');
  const found: SourceFunction[] = [];
  const scopes: { indent: number; name: string; /** What a class is of. */ bases?: string }[] = [];
  const indentOf = (line: string): number => line.length - line.trimStart().length;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
    while (scopes.length > 0 && indentOf(line) <= scopes.at(-1)!.indent) scopes.pop();
    const head = /^(\s*)(class|(?:async\s+)?def)\s+(\w+)/.exec(line);
    if (head === null) continue;
    const indent = head[1]!.length;
    const name = [...scopes.map((scope) => scope.name), head[3]!].join('.');
    const whole = head[2] === 'class' ? classHead(lines, at) : null;
    scopes.push({ indent, name: head[3]!, ...(whole === null ? {} : { bases: whole.bases }) });
    if (whole !== null) {
      at = whole.end;
      continue;
    }
    let headEnd = at;
    while (headEnd < lines.length - 1 && !/:\s*(#.*)?$/.test(lines[headEnd]!)) headEnd++;
    let end = headEnd + 1;
    while (end < lines.length && (lines[end]!.trim() === '' || indentOf(lines[end]!) > indent)) end++;
    while (end > headEnd + 1 && lines[end - 1]!.trim() === '') end--;
    if (end <= headEnd + 1) continue; // its body stands on the line of its head
    const bases = scopes.at(-2)?.bases;
    if (bases !== undefined && isDeclaredOnly(lines, at, headEnd, end, bases)) continue;
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
    const tokens = [...lines.slice(at, headEnd + 1).map((each) => each.trim()), ...code].join(' ');
    const bearing = pythonBearing(lines, at, headEnd, name, shape, only, body, bases);
    found.push({
      name,
      line: at + 1,
      tokens,
      work: tokens,
      shape,
      placeholder: unfinished === null ? null : unfinished.trim().replace(/\s+/g, ' ').slice(0, 120),
      hollow: bearing !== null && isHollow(bearing),
      emptied: [
        ...lines.slice(0, headEnd + 1),
        shape === 'empty' ? `${pad}raise RuntimeError('emptied')` : `${pad}return None`,
        ...lines.slice(end),
      ].join('\n'),
    });
  }
  return found;
}
