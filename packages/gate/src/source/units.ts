import ts from 'typescript';
import { parseScript } from './functions.ts';
import { isPython } from './paths.ts';
import { pythonLines, type PythonLine } from './python.ts';

/** The smallest part of a file that can be put in another's place by name: a function, a method, an entry that is one, a constant. */
export interface Unit {
  /** The same on two trees: `Parser.parse`, `functions.SUM`, `app.get('/x')`. */
  key: string;
  line: number;
  start: number;
  end: number;
  text: string;
  /** Its tokens, without comments, layout, types and what is only said to people. */
  words: readonly Word[];
  /** Names that it brings: its own, those of its parameters and of what it holds. */
  declares: readonly string[];
  /** What it is to be called with; empty where it is no function. */
  parameters: string;
  /** Data: nothing in it is computed, and no test asks for each value. */
  constant: boolean;
}

export interface Word {
  text: string;
  /** `decides`: what is computed hangs on it: literals, operators, branches. `calls`: a name that is called. */
  kind: 'decides' | 'calls' | 'name' | 'other';
}

export interface Units {
  units: readonly Unit[];
  /** What it imports, name by name: as the statement that imports this name alone. */
  imports: ReadonlyMap<string, string>;
  /** What its types and enumerations name, which is no unit and binds those who say it. */
  members: readonly string[];
  /** Where a unit that is gone can be put back: at the end of a file, or of the class that held it. */
  placeOf(key: string): number;
  ok: boolean;
}

export const unitsOf = (path: string, text: string): Units => (isPython(path) ? ofPython(text) : ofScript(path, text));

const saysToPeople = /^(?:console|log|logger|debug|warn|process\.std(?:out|err)|this\.log\w*|metrics?)\b|Error$/;
const branches: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.IfKeyword,
  ts.SyntaxKind.ForKeyword,
  ts.SyntaxKind.WhileKeyword,
  ts.SyntaxKind.CaseKeyword,
  ts.SyntaxKind.ThrowKeyword,
  ts.SyntaxKind.AwaitKeyword,
  ts.SyntaxKind.TryKeyword,
  ts.SyntaxKind.BreakKeyword,
  ts.SyntaxKind.ContinueKeyword,
  ts.SyntaxKind.TrueKeyword,
  ts.SyntaxKind.FalseKeyword,
  ts.SyntaxKind.NullKeyword,
  ts.SyntaxKind.InKeyword,
  ts.SyntaxKind.InstanceOfKeyword,
  ts.SyntaxKind.TypeOfKeyword,
  ts.SyntaxKind.DeleteKeyword,
  ts.SyntaxKind.NewKeyword,
  ts.SyntaxKind.QuestionToken,
  ts.SyntaxKind.QuestionDotToken,
  ts.SyntaxKind.DotDotDotToken,
]);

function kindOf(node: ts.Node): Word['kind'] {
  if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) {
    const holder = ts.isPropertyAccessExpression(node.parent) && node.parent.name === node ? node.parent : node;
    const called = (ts.isCallExpression(holder.parent) || ts.isNewExpression(holder.parent)) && holder.parent.expression === holder;
    return called ? 'calls' : 'name';
  } // prettier-ignore
  if (
    ts.isLiteralExpression(node) ||
    node.kind === ts.SyntaxKind.TemplateHead ||
    node.kind === ts.SyntaxKind.TemplateMiddle ||
    node.kind === ts.SyntaxKind.TemplateTail
  )
    return 'decides';
  const operator =
    (ts.isBinaryExpression(node.parent) && node.parent.operatorToken === node && node.kind !== ts.SyntaxKind.EqualsToken) ||
    ((ts.isPrefixUnaryExpression(node.parent) || ts.isPostfixUnaryExpression(node.parent)) && node !== node.parent.operand); // prettier-ignore
  return operator || branches.has(node.kind) ? 'decides' : 'other';
}

function wordsOf(root: ts.Node, file: ts.SourceFile): Word[] {
  const words: Word[] = [];
  const visit = (node: ts.Node): void => {
    if (node.kind >= ts.SyntaxKind.FirstJSDocNode && node.kind <= ts.SyntaxKind.LastJSDocNode) return;
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return;
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    // What goes wrong counts; how people are told does not.
    const said =
      (ts.isCallExpression(node) || ts.isNewExpression(node)) && saysToPeople.test(node.expression.getText(file));
    if (said) return void visit(node.expression);
    const children = node.getChildren(file);
    if (children.length > 0) return children.forEach(visit);
    const text = node.getText(file);
    if (text === '' || /^[;,:]$/.test(text)) return;
    const sign = /^[-+]$/.test(text) && ts.isPrefixUnaryExpression(node.parent);
    words.push({ text: ts.isStringLiteral(node) ? JSON.stringify(node.text) : text, kind: sign ? 'decides' : kindOf(node) });
  }; // prettier-ignore
  visit(root);
  return words;
}

/** The parameters of a function, also of one that a name is given to. */
function parametersOf(node: ts.Node, file: ts.SourceFile): string {
  const value =
    (ts.isVariableDeclaration(node) || ts.isPropertyAssignment(node) || ts.isPropertyDeclaration(node)) &&
    node.initializer !== undefined
      ? node.initializer
      : node;
  return ts.isFunctionLike(value) ? value.parameters.map((each) => each.getText(file)).join(', ') : '';
}

function ofScript(path: string, text: string): Units {
  const file = parseScript(path, text);
  const units: Unit[] = [];
  const imports = new Map<string, string>();
  const places = new Map<string, number>();
  const taken = new Map<string, number>();
  const computes = (node: ts.Node): boolean =>
    ts.isFunctionLike(node) ||
    ts.isCallExpression(node) ||
    ts.isNewExpression(node) ||
    ts.forEachChild(node, computes) === true;
  const add = (name: string, node: ts.Node): void => {
    const count = (taken.get(name) ?? 0) + 1;
    taken.set(name, count);
    const start = node.getStart(file);
    const declares = new Set([
      name
        .split(/[.(]/)
        .at(-1)!
        .replace(/^(?:get|set) /, ''),
    ]);
    const hold = (each: ts.Node): void => {
      const named =
        ts.isParameter(each) || ts.isPropertyAssignment(each) || ts.isShorthandPropertyAssignment(each) || ts.isBindingElement(each); // prettier-ignore
      const unit = ts.isParameter(each) && each.parent.parent !== node && each.parent !== node;
      if (named && !unit && each.name !== undefined && ts.isIdentifier(each.name)) declares.add(each.name.text);
      ts.forEachChild(each, hold);
    };
    hold(node);
    units.push({
      key: count === 1 ? name : `${name} (${count})`,
      line: file.getLineAndCharacterOfPosition(start).line + 1,
      start,
      end: node.getEnd(),
      text: text.slice(start, node.getEnd()),
      words: wordsOf(node, file),
      declares: [...declares].filter((each) => /^#?[\w$]{2,}$/.test(each)),
      parameters: parametersOf(node, file),
      constant:
        (ts.isVariableDeclaration(node) || ts.isPropertyAssignment(node) || ts.isPropertyDeclaration(node)) &&
        !computes(node),
    });
  };
  const ofImport = (node: ts.ImportDeclaration): void => {
    const from = node.moduleSpecifier.getText(file);
    const clause = node.importClause;
    if (clause === undefined) return;
    if (clause.name !== undefined) imports.set(clause.name.text, `import ${clause.name.text} from ${from};`);
    const bound = clause.namedBindings;
    if (bound !== undefined && ts.isNamespaceImport(bound))
      imports.set(bound.name.text, `import * as ${bound.name.text} from ${from};`);
    if (bound !== undefined && ts.isNamedImports(bound))
      for (const each of bound.elements) imports.set(each.name.text, `import { ${each.getText(file)} } from ${from};`);
  };
  const visit = (statement: ts.Node, within: string): void => {
    const named = (name: string): string => (within === '' ? name : `${within}.${name}`);
    if (ts.isImportDeclaration(statement)) return ofImport(statement);
    if (ts.isExportDeclaration(statement) || ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement) || statement.kind === ts.SyntaxKind.EmptyStatement) return; // prettier-ignore
    if (ts.isModuleDeclaration(statement) && statement.body !== undefined && ts.isModuleBlock(statement.body))
      return statement.body.statements.forEach((each) => visit(each, named(statement.name.getText(file))));
    if (ts.isClassDeclaration(statement)) {
      const name = named(statement.name?.text ?? 'default');
      places.set(name, statement.getEnd() - 1);
      for (const member of statement.members) {
        const kind = ts.isGetAccessor(member) ? 'get ' : ts.isSetAccessor(member) ? 'set ' : '';
        const own = ts.isConstructorDeclaration(member) ? 'constructor' : (member.name?.getText(file) ?? 'static');
        if (ts.isMethodDeclaration(member) && member.body === undefined) continue;
        add(`${name}.${kind}${own}`, member);
      }
      return;
    }
    if (ts.isVariableStatement(statement)) {
      for (const each of statement.declarationList.declarations) {
        const value = each.initializer;
        const holds = value !== undefined && ts.isObjectLiteralExpression(value) ? value : null;
        const isFunction = (property: ts.ObjectLiteralElementLike): boolean =>
          ts.isMethodDeclaration(property) || (ts.isPropertyAssignment(property) && ts.isFunctionLike(property.initializer)); // prettier-ignore
        if (holds !== null && holds.properties.some(isFunction)) {
          for (const property of holds.properties)
            add(`${named(each.name.getText(file))}.${property.name?.getText(file) ?? '...'}`, property);
        } else add(named(each.name.getText(file)), each);
      }
      return;
    }
    if (ts.isFunctionDeclaration(statement)) {
      if (statement.body !== undefined) add(named(statement.name?.text ?? 'default'), statement);
      return;
    }
    if (ts.isExpressionStatement(statement)) {
      const { expression } = statement;
      if (ts.isBinaryExpression(expression)) return add(named(expression.left.getText(file)), statement);
      if (ts.isCallExpression(expression)) {
        const [first] = expression.arguments;
        const about = first !== undefined && ts.isStringLiteralLike(first) ? first.text : '';
        return add(named(`${expression.expression.getText(file).slice(0, 80)}(${about}`), statement);
      }
    }
    add(named(ts.isExportAssignment(statement) ? 'default' : ts.SyntaxKind[statement.kind]), statement);
  };
  for (const each of file.statements) visit(each, '');
  const members = new Set<string>();
  const ofTypes = (node: ts.Node): void => {
    if ((ts.isPropertySignature(node) || ts.isMethodSignature(node) || ts.isEnumMember(node)) && ts.isIdentifier(node.name))
      members.add(node.name.text);
    ts.forEachChild(node, ofTypes);
  }; // prettier-ignore
  ofTypes(file);
  const diagnostics = (file as unknown as { parseDiagnostics?: readonly unknown[] }).parseDiagnostics ?? [];
  return {
    units,
    imports,
    members: [...members],
    placeOf: (key) => places.get(key.split('.').slice(0, -1).join('.')) ?? text.length,
    ok: diagnostics.length === 0,
  };
}

const pythonWord =
  /(?:[rRbBfFuU]{0,2})(?:"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\d[\w.]*|[A-Za-z_]\w*|==|!=|<=|>=|->|\*\*|\/\/|:=|[-+*/%&|^]=|[^\s\w]/g;
const pythonDecides =
  /^(?:if|elif|else|for|while|try|except|finally|raise|and|or|not|in|is|await|yield|with|break|continue|True|False|None|del|lambda)$/;

const same = (words: readonly string[]): readonly string[] => words;
/** Decorators to which it makes no difference what types a function says it takes. */
const readsNoTypes = /^@(?:property|staticmethod|classmethod|\w+\.setter|(?:functools\.)?(?:wraps\(.*\)|cache|lru_cache(?:\(.*\))?|cached_property)|(?:contextlib\.)?(?:async)?contextmanager|(?:abc\.)?abstractmethod)$/; // prettier-ignore

/** The head of a function without its types, which nothing looks at while it runs. */
function withoutTypes(words: readonly string[]): string[] {
  const left: string[] = [];
  let depth = 0;
  let part: 'name' | 'type' | 'default' | 'answer' | 'body' = 'name';
  for (const word of words) {
    if (/^[)\]}]$/.test(word)) depth--;
    if (part !== 'body') {
      if (depth === 0 && word === '->') part = 'answer';
      else if (depth === 0 && word === ':') part = 'body';
      else if (part !== 'answer') {
        if ((depth === 0 && word === ')') || (depth === 1 && word === ',')) part = 'name';
        else if (depth === 1 && word === '=') part = 'default';
        else if (depth === 1 && word === ':' && part === 'name') part = 'type';
      }
    }
    if (part !== 'type' && part !== 'answer') left.push(word);
    if (/^[([{]$/.test(word)) depth++;
  }
  return left;
}

function pythonWords(lines: readonly PythonLine[]): Word[] {
  return lines.flatMap(({ text }, index): Word[] => {
    if (index > 0 && /^[rRuU]?(?:"""|'''|"|')/.test(text) && /^(?:async\s+)?(?:def|class)\b/.test(lines[index - 1]!.text))
      return []; // what a function says of itself
    const said = /^(?:raise\s+\w+|print|log\w*\.\w+|warnings\.warn)\(/.exec(text)?.[0];
    const plain = index === 0 || lines.slice(0, index).every((each) => readsNoTypes.test(each.text));
    const found = (/^(?:async\s+)?def\b/.test(text) && plain ? withoutTypes : same)(
      [...(said ?? text).matchAll(pythonWord)].map((match) => match[0]),
    );
    return found
      .filter((word) => !/^[:,;]$/.test(word))
      .map((word, at) => ({
        text: word,
        kind: /^\w/.test(word) && !/^\d|["']/.test(word)
          ? pythonDecides.test(word)
            ? 'decides'
            : found[at + 1] === '(' && !/^(?:def|class)$/.test(found[at - 1] ?? '')
              ? 'calls'
              : 'name'
          : /^[()[\]{}.=]$/.test(word)
            ? 'other'
            : 'decides',
      }));
  }); // prettier-ignore
}

function ofPython(text: string): Units {
  const source = text.split('\n');
  const starts: number[] = [];
  let position = 0;
  for (const line of source) {
    starts.push(position);
    position += line.length + 1;
  }
  const lines = pythonLines(text).filter((each) => each.indent >= 0);
  const units: Unit[] = [];
  const imports = new Map<string, string>();
  const places = new Map<string, number>();
  const taken = new Map<string, number>();
  /** The end of the last line of these that is not blank. */
  const endOf = (next: number): number => {
    let last = (lines[next]?.line ?? source.length + 1) - 2;
    while (last > 0 && source[last]!.trim() === '') last--;
    return starts[last]! + source[last]!.length;
  };
  const read = (from: number, to: number, within: string): void => {
    for (let at = from; at < to;) {
      const indent = lines[at]!.indent;
      let head = at;
      while (head < to - 1 && lines[head]!.text.startsWith('@')) head++;
      const { text: said } = lines[head]!;
      let next = head + 1;
      while (next < to && (lines[next]!.indent > indent || /^(?:else|elif|except|finally)\b/.test(lines[next]!.text))) next++; // prettier-ignore
      const named = (name: string): string => (within === '' ? name : `${within}.${name}`);
      const definition = /^(?:async\s+)?(def|class)\s+(\w+)/.exec(said);
      const imported = /^(?:from\s+\S+\s+)?import\s+(.+)$/.exec(said);
      if (imported !== null && within === '') {
        for (const each of imported[1]!.replace(/[()]/g, '').split(',')) {
          const words = each.trim().split(/\s+as\s+/);
          const from = /^from\s+\S+/.exec(said)?.[0];
          if (from !== '' && words[0] !== '' && from !== 'from __future__')
            imports.set(words.at(-1)!, `${from === undefined ? '' : `${from} `}import ${each.trim()}`);
        }
      } else if (definition?.[1] === 'class' && lines[head + 1] !== undefined && next > head + 1) {
        const name = named(definition[2]!);
        places.set(name, endOf(next));
        read(head + 1, next, name);
      } else if (!/^[rRuU]?(?:"""|'''|"|')/.test(said) && said !== 'pass') {
        const assigned = /^([\w.[\]"']+)\s*(?::[^=]+)?=(?!=)/.exec(said)?.[1];
        const name = named(definition?.[2] ?? assigned ?? said.slice(0, 60));
        const count = (taken.get(name) ?? 0) + 1;
        taken.set(name, count);
        const own = lines.slice(at, next);
        const start = starts[lines[at]!.line - 1]!;
        const end = endOf(next);
        const parameters = /^(?:async\s+)?def\s+\w+\(([\s\S]*)\)/.exec(said)?.[1] ?? '';
        units.push({
          key: count === 1 ? name : `${name} (${count})`,
          line: lines[head]!.line,
          start,
          end,
          text: text.slice(start, end),
          words: pythonWords(own),
          declares: [name.split('.').at(-1)!, ...parameters.split(',').map((each) => /\w+/.exec(each)?.[0] ?? '')].filter(
            (each) => /^\w{2,}$/.test(each) && each !== 'self',
          ),
          parameters,
          constant: definition === null && own.every(({ bare }) => !/[(]/.test(bare)),
        }); // prettier-ignore
      }
      at = next;
    }
  };
  read(0, lines.length, '');
  return {
    units,
    imports,
    members: [],
    placeOf: (key) => places.get(key.split('.').slice(0, -1).join('.')) ?? text.length,
    ok: true,
  };
}
