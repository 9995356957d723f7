import ts from 'typescript';
import type { Hit } from '../source/fresh.ts';
import { shapeSecurity } from './security-shapes.ts';
import { parseScript } from '../source/functions.ts';

/**
 * How much is known about a value. `constant` cannot be steered from outside, `request` is what a stranger sent, `dynamic` is anything
 * else.
 */
type Origin = 'constant' | 'dynamic' | 'request';
const stronger = (a: Origin, b: Origin): Origin =>
  a === 'request' || b === 'request' ? 'request' : a === 'dynamic' || b === 'dynamic' ? 'dynamic' : 'constant';

const requestPart =
  /^(?:req|request|ctx|context|event|evt|c|koa|koaContext)(?:\.request|\.req)?\??\.(?:query|params|param|body|headers|header|cookies|url|originalUrl|rawBody|queryStringParameters|pathParameters|path|files?|json|text|formData|search|href)\b/;
const pageInput = /^(?:window\.)?(?:location\.(?:search|hash|href)|document\.(?:URL|referrer|cookie))\b/;
const requestAnywhere = new RegExp(`(?<![\\w.$])${requestPart.source.slice(1)}`);
const cleans =
  /(?:escape|sanitiz|sanitis|encode|quote|purify|validat|allow|safe|slug|basename|parseint|parsefloat|^number$|^boolean$|^bigint$|tofixed|isinteger|digest|hash|randomuuid)/i;
const numeric = /^(?:number|boolean|bigint|Date)$/;

/** The last part of what is called: `slice` of `location.hash.slice`. */
const lastName = (callee: ts.Expression, file: ts.SourceFile): string =>
  callee.getText(file).replace(/\s+/g, '').split('.').at(-1) ?? '';

type FunctionNode = ts.FunctionLikeDeclaration;
const isFunction = (node: ts.Node): node is FunctionNode => ts.isFunctionLike(node) && 'body' in node;

/** Values of one file and where they come from, followed through names, within functions and across calls of the file's own. */
class Flow {
  private readonly origins = new Map<ts.Node, Map<string, Origin>>();
  private readonly functions = new Map<string, FunctionNode>();
  private readonly handing = new Map<FunctionNode, Set<ts.Node>>();
  private readonly file: ts.SourceFile;
  private changed = true;

  constructor(file: ts.SourceFile) {
    this.file = file;
    const name = (node: ts.Node): void => {
      if (isFunction(node)) {
        const called =
          node.name?.getText(file) ??
          (ts.isVariableDeclaration(node.parent) || ts.isPropertyAssignment(node.parent)
            ? node.parent.name.getText(file)
            : null);
        if (called !== null) this.functions.set(called, node);
        for (const parameter of node.parameters) this.parameter(node, parameter);
      }
      ts.forEachChild(node, name);
    };
    name(file);
    for (let round = 0; this.changed && round < 6; round++) {
      this.changed = false;
      this.walk(file);
    }
  }

  private scopeOf(node: ts.Node): ts.Node {
    let at: ts.Node = node;
    while (!isFunction(at) && !ts.isSourceFile(at)) at = at.parent;
    return at;
  }

  private set(scope: ts.Node, name: string, origin: Origin): void {
    const names = this.origins.get(scope) ?? new Map<string, Origin>();
    this.origins.set(scope, names);
    const was = names.get(name);
    const is = was === undefined ? origin : stronger(was, origin);
    if (was === is) return;
    names.set(name, is);
    this.changed = true;
  }

  private parameter(scope: FunctionNode, parameter: ts.ParameterDeclaration): void {
    const typed = parameter.type?.getText(this.file) ?? '';
    // The second thing that a step over a list is given is a number.
    const isIndex =
      scope.parameters[1] === parameter &&
      ts.isCallExpression(scope.parent) &&
      /(?:\.(?:map|forEach|flatMap|filter)|^Array\.from)$/.test(scope.parent.expression.getText(this.file));
    const safe = isIndex || numeric.test(typed) || /^(['"][^'"]*['"](\s*\|\s*)?)+$/.test(typed);
    this.bind(scope, parameter.name, safe ? 'constant' : 'dynamic');
    // `({ query, params }) => …` in a handler is what a stranger sent, as `req.query` is.
    if (ts.isObjectBindingPattern(parameter.name) && /\b(?:Request|Context)\b/.test(typed))
      for (const each of parameter.name.elements)
        if (/^(?:query|params|body|headers|cookies)$/.test((each.propertyName ?? each.name).getText(this.file)))
          this.bind(scope, each.name, 'request');
    // `on('GET', '/labels/:name', (request, { name }) => …)`: the address says it, whatever the router is.
    if (ts.isObjectBindingPattern(parameter.name) && ts.isCallExpression(scope.parent)) {
      const routes = scope.parent.arguments.flatMap((each) => (ts.isStringLiteralLike(each) ? [each.text] : []));
      for (const each of parameter.name.elements) {
        const called = each.propertyName ?? each.name;
        if (!ts.isIdentifier(called)) continue;
        const place = new RegExp(`^/.*[:{]${called.text.replaceAll('$', '\\$')}(?![\\w$])`);
        if (routes.some((route) => place.test(route))) this.bind(scope, each.name, 'request');
      }
    }
  }

  private bind(scope: ts.Node, name: ts.BindingName, origin: Origin): void {
    if (ts.isIdentifier(name)) this.set(scope, name.text, origin);
    else for (const each of name.elements) if (ts.isBindingElement(each)) this.bind(scope, each.name, origin);
  }

  private walk(node: ts.Node): void {
    if (ts.isVariableDeclaration(node) && node.initializer !== undefined) {
      const text = node.initializer.getText(this.file);
      const scope = this.scopeOf(node);
      if (ts.isObjectBindingPattern(node.name) && /^(?:req|request|ctx|event)(?:\.request)?$/.test(text)) {
        for (const each of node.name.elements) {
          const part = (each.propertyName ?? each.name).getText(this.file);
          const sent = /^(?:query|params|body|headers|cookies|url|queryStringParameters|pathParameters)$/.test(part);
          this.bind(scope, each.name, sent ? 'request' : 'dynamic');
        }
      } else this.bind(scope, node.name, this.of(node.initializer));
    } else if (ts.isForOfStatement(node) && ts.isVariableDeclarationList(node.initializer)) {
      for (const each of node.initializer.declarations)
        this.bind(this.scopeOf(node), each.name, this.of(node.expression));
    } else if (
      ts.isBinaryExpression(node) &&
      /^(?:=|\+=|\?\?=|\|\|=)$/.test(node.operatorToken.getText(this.file)) &&
      ts.isIdentifier(node.left)
    ) {
      this.set(this.holder(node, node.left.text), node.left.text, this.of(node.right));
    } else if (ts.isCallExpression(node)) {
      const called = ts.isIdentifier(node.expression)
        ? node.expression.text
        : ts.isPropertyAccessExpression(node.expression) &&
            node.expression.expression.kind === ts.SyntaxKind.ThisKeyword
          ? node.expression.name.text
          : null;
      const target = called === null ? undefined : this.functions.get(called);
      target?.parameters.forEach((parameter, at) => {
        const given = node.arguments[at];
        const typed = parameter.type?.getText(this.file) ?? '';
        if (given === undefined || numeric.test(typed) || this.of(given) !== 'request') return;
        this.bind(target, parameter.name, 'request');
        this.handing.set(target, (this.handing.get(target) ?? new Set()).add(this.scopeOf(node)));
      });
    }
    ts.forEachChild(node, (child) => this.walk(child));
  }

  /** Who in this file hands a function what a request sent: functions, or the file itself. */
  sendersOf(called: FunctionNode): readonly ts.Node[] {
    return [...(this.handing.get(called) ?? [])];
  }

  /** The function or file that a name belongs to, as seen from a place. */
  private holder(from: ts.Node, name: string): ts.Node {
    for (let scope = this.scopeOf(from); ; scope = this.scopeOf(scope.parent)) {
      if (this.origins.get(scope)?.has(name) === true) return scope;
      if (ts.isSourceFile(scope)) return this.scopeOf(from);
    }
  }

  of(node: ts.Expression): Origin {
    if (
      ts.isParenthesizedExpression(node) ||
      ts.isAwaitExpression(node) ||
      ts.isAsExpression(node) ||
      ts.isNonNullExpression(node) ||
      ts.isSatisfiesExpression(node) ||
      ts.isSpreadElement(node)
    )
      return this.of(node.expression);
    if (
      ts.isStringLiteralLike(node) ||
      ts.isNumericLiteral(node) ||
      ts.isRegularExpressionLiteral(node) ||
      ts.isBigIntLiteral(node)
    )
      return 'constant';
    if ([ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword, ts.SyntaxKind.NullKeyword].includes(node.kind))
      return 'constant';
    if (ts.isTemplateExpression(node))
      return node.templateSpans.map((span) => this.of(span.expression)).reduce(stronger, 'constant');
    if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node) || ts.isTypeOfExpression(node))
      return 'constant';
    if (ts.isBinaryExpression(node)) {
      const operator = node.operatorToken.kind;
      if (
        operator === ts.SyntaxKind.PlusToken ||
        operator === ts.SyntaxKind.BarBarToken ||
        operator === ts.SyntaxKind.QuestionQuestionToken ||
        operator === ts.SyntaxKind.AmpersandAmpersandToken
      )
        return stronger(this.of(node.left), this.of(node.right));
      return operator === ts.SyntaxKind.CommaToken || operator === ts.SyntaxKind.EqualsToken
        ? this.of(node.right)
        : 'constant';
    }
    if (ts.isConditionalExpression(node)) return stronger(this.of(node.whenTrue), this.of(node.whenFalse));
    if (ts.isArrayLiteralExpression(node))
      return node.elements.map((each) => this.of(each)).reduce(stronger, 'constant');
    if (ts.isObjectLiteralExpression(node)) {
      return node.properties
        .map((each) =>
          ts.isPropertyAssignment(each)
            ? this.of(each.initializer)
            : ts.isShorthandPropertyAssignment(each)
              ? this.of(each.name)
              : 'dynamic',
        )
        .reduce(stronger, 'constant' as Origin);
    }
    const text = node.getText(this.file).replace(/\s+/g, '');
    if (requestPart.test(text) || pageInput.test(text))
      return ts.isCallExpression(node) && cleans.test(lastName(node.expression, this.file)) ? 'constant' : 'request';
    if (ts.isIdentifier(node)) {
      if (/^[A-Z][A-Z0-9_]+$/.test(node.text) || node.text === 'undefined' || node.text.startsWith('__'))
        return 'constant';
      const scope = this.holder(node, node.text);
      return this.origins.get(scope)?.get(node.text) ?? 'dynamic';
    }
    if (ts.isPropertyAccessExpression(node)) {
      if (node.name.text === 'length' || /^[A-Z]\w*\.[A-Z]/.test(text)) return 'constant';
      return this.of(node.expression);
    }
    if (ts.isElementAccessExpression(node)) {
      // Looked up in a table of constants: whatever is asked for, only what stands there comes out.
      const table = this.of(node.expression);
      return table === 'constant' ? 'constant' : table;
    }
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      const callee = node.expression.getText(this.file);
      const called = callee.split('.').at(-1) ?? '';
      if (cleans.test(called)) return 'constant';
      const given = (node.arguments ?? []).map((each) => this.of(each)).reduce(stronger, 'constant');
      if (ts.isPropertyAccessExpression(node.expression)) {
        const on = this.of(node.expression.expression);
        // `x.map(() => '?').join(',')`: what comes out is made here, whatever `x` holds.
        if (called === 'map' || called === 'fill') {
          const [step] = node.arguments ?? [];
          if (step !== undefined && ts.isArrowFunction(step) && !ts.isBlock(step.body)) return this.of(step.body);
        }
        if (
          /^(?:join|path|String|Buffer|URL|JSON|Object|Array|url|posix)$/.test(
            node.expression.expression.getText(this.file),
          )
        )
          return given;
        return stronger(
          on === 'constant' && given === 'constant' ? 'constant' : on,
          given === 'request' && /^(?:concat|replace|replaceAll|get|join|format|push|padStart|padEnd)$/.test(called)
            ? 'request'
            : 'constant',
        );
      }
      // What else a request is made of does not say whom it goes to.
      if (callee === 'Request') return node.arguments?.[0] === undefined ? 'constant' : this.of(node.arguments[0]);
      if (
        /^(?:String|URL|decodeURIComponent|decodeURI|join|resolve|fileURLToPath|JSON\.parse|Object|URLSearchParams)$/.test(
          callee,
        )
      )
        return given;
      return 'dynamic';
    }
    return 'dynamic';
  }
}

/** The fixed text and the holes of a template or a sum, in order. */
function pieces(node: ts.Expression): (string | ts.Expression)[] {
  if (ts.isParenthesizedExpression(node)) return pieces(node.expression);
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isTemplateExpression(node))
    return [node.head.text, ...node.templateSpans.flatMap((span) => [...pieces(span.expression), span.literal.text])];
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken)
    return [...pieces(node.left), ...pieces(node.right)];
  const list = joinedList(node);
  if (list !== null) return list.elements.flatMap((each, at) => [...(at === 0 ? [] : [list.between]), ...pieces(each)]);
  return [node];
}
/** `['a', b].join(' ')`, where the list is written out: a text that is put together like any other. */
function joinedList(node: ts.Node): { elements: readonly ts.Expression[]; between: string } | null {
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return null;
  const { expression: list, name } = node.expression;
  const [between] = node.arguments;
  if (name.text !== 'join' || !ts.isArrayLiteralExpression(list) || list.elements.some(ts.isSpreadElement)) return null;
  if (between === undefined) return { elements: list.elements, between: ',' };
  return ts.isStringLiteralLike(between) ? { elements: list.elements, between: between.text } : null;
}
const isBuilt = (node: ts.Expression): boolean =>
  ts.isTemplateExpression(node) ||
  (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) ||
  joinedList(node)?.elements.some((each) => !ts.isStringLiteralLike(each)) === true;

const statement =
  /^\s*(?:select\b[\s\S]*\bfrom\b|insert\s+into\b|update\b[\s\S]*\bset\b|delete\s+from\b|replace\s+into\b|merge\s+into\b)/i;
const valuePlace =
  /(?:[=<>]\s*|\blike\s+|\bin\s*\(\s*|\bvalues\s*\([^()]*|\blimit\s+|\boffset\s+|\bbetween\s+|\band\s+|\|\|\s*|,\s*)['"%]*$/i;
/** Behind a bare comma between `select` and its `from`: what is read there is a column, or an expression of some. */
function isColumn(before: string): boolean {
  const behind = before.split(/\bselect\b/i);
  const list = behind.at(-1)!.trimEnd();
  return (
    behind.length > 1 &&
    list.endsWith(',') &&
    !/\bfrom\b/i.test(list) &&
    list.split('(').length === list.split(')').length &&
    list.split("'").length % 2 === 1
  );
}
const partOfStatement =
  /(?:placeholder|column|field|table|where|clause|order|sort|direction|condition|schema|join|sql|set|assignment|filter|\bkeys?\b|names?\b.*join)/i;
const guards =
  /\.startsWith\(|includes\(['"`]\.\.|\brelative\(|isAbsolute\(|realpath|basename\(|\.has\(|\.test\(|\.includes\(|\.match\(|isInside|isWithin|hostname\s*[!=]==|allow/i;
const programs = /(?:^|\/)(?:scripts?|tools?|bin|bench|build)\//;
const secretName = /passw|secret|token|session|nonce|salt|otp|\bkey\b|apikey|signature|credential|csrf|reset/i;

const hidden = new RegExp(String.raw`${secretName.source}|passcode|\bpin\b`, 'i');

/** Headers and cookies that a request came with: read, and not set on what this program asks. */
const sentWith =
  /(?<![\w$.])(?:(?:req|request|r|ctx|context|c|event|evt)(?:\.(?:req|request|raw))?\??\.(?:headers?|cookies?|get)\b|headers\??(?:\.(?:authorization|cookie)\b|\.get\(|\[)|cookies(?:\(\))?\??\.)(?![\w.?[\]'"-]*\s*=(?!=)|\.(?:set|append)\()/;
const withoutComments = (code: string): string =>
  code.replace(/\/\*[^*]*(?:\*(?!\/)[^*]*)*(?:\*\/|$)|(?<![:'"`\\])\/\/[^\n]*/g, ' ');

/** A whole element, or one that has no end: text that only holds an angle, or a type's parameter, has neither. */
/** Names of what people write themselves, and never of markup that is made of it. */
const ofPeople = /^(?:(?:user|full|first|last|nick|display)?name|(?:user)?title|comments?|query|messages?|author|subject|e?mail|review|bio|notes?|caption|feedback|reply|greeting)$/i; // prettier-ignore
/** What belongs to the page itself: its own words, its pictures, how it is set up. */
const ofThePage = /^(?:messages|strings|labels|texts|i18n|intl|t|translations?|locale|icons?|config\w*|options|opts|settings|site|theme|pkg|meta|this)$/i; // prettier-ignore
/** The file has a function that makes texts fit for markup, and calls it. */
const escapes = /(?<![.\w])(?:escape|esc)(?:_?(?:html|xml|markup|entities|attr\w*))?\s*\(|\.escape_?(?:html|xml|markup)\s*\(/i; // prettier-ignore
/** Or one that cleans markup that is there already. */
const cleansMarkup = /\b(?:sanitize\w*|purify\w*|DOMPurify)\s*[.(]/i;
const markup = /<\/[a-z][\w-]*\s*>|<(?:img|input|br|hr|meta|link|iframe|base|embed)\b[^<]*>?/;

const asksOthers =
  /^(?:node:)?(?:https?|http2)$|^(?:undici|axios|got|request|needle|ky|node-fetch|superagent|cross-fetch|make-fetch-happen|phin|bent)$/;
const isAsking = /^(?:get|post|put|patch|delete|request|head|fetch|stream)$/;

/** The names by which a file asks other servers: as functions, and as objects that have such functions. */
function askersOf(file: ts.SourceFile): { functions: ReadonlySet<string>; objects: ReadonlySet<string> } {
  const functions = new Set([
    'fetch',
    'axios',
    'got',
    'request',
    'needle',
    'ky',
    'undici.request',
    'globalThis.fetch',
    'window.fetch',
  ]);
  const objects = new Set(['axios', 'got', 'http', 'https', 'superagent', 'needle', 'ky', 'undici']);
  const both = (name: string): void => void (functions.add(name), objects.add(name));
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const clause = node.importClause;
      if (!asksOthers.test(node.moduleSpecifier.text) || clause === undefined) return;
      if (clause.name !== undefined) both(clause.name.text);
      const named = clause.namedBindings;
      if (named !== undefined && ts.isNamespaceImport(named)) both(named.name.text);
      else
        for (const each of named?.elements ?? [])
          if (isAsking.test((each.propertyName ?? each.name).text)) functions.add(each.name.text);
      return;
    }
    if (ts.isVariableDeclaration(node) && node.initializer !== undefined) {
      const from = node.initializer.getText(file).replace(/\s+/g, '');
      const required = /^require\(['"]([^'"]+)['"]\)$/.exec(from)?.[1];
      const on = /^([\w$.]+)\.(\w+)$/.exec(from);
      if (ts.isObjectBindingPattern(node.name)) {
        const asked = (required !== undefined && asksOthers.test(required)) || objects.has(from);
        for (const each of node.name.elements)
          if (asked && isAsking.test((each.propertyName ?? each.name).getText(file)))
            functions.add(each.name.getText(file));
      } else if (
        required !== undefined
          ? asksOthers.test(required)
          : /^(?:axios|got|ky|needle)\.(?:create|extend|defaults)\(/.test(from)
      )
        both(node.name.getText(file));
      else if (functions.has(from) || (on !== null && objects.has(on[1]!) && isAsking.test(on[2]!)))
        functions.add(node.name.getText(file));
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return { functions, objects };
}

/** Vulnerable patterns of one script. What it says is about how code looks: finding nothing proves nothing. */
export function scriptSecurity(path: string, text: string): Hit[] {
  const file = parseScript(path, text);
  const flow = new Flow(file);
  const askers = askersOf(file);
  const written = new Set<ts.Node>();
  const hits: Hit[] = [];
  const tool = programs.test(path);
  const speaksSql = /['"`]\s*(?:select\s[^'"`]*\sfrom|insert\s+into|update\s[^'"`]*\sset|delete\s+from)\s/i.test(text);
  const selects = speaksSql || /['"`]\s{0,50}select\b/i.test(text);
  const unpacks =
    /(?:from|require\()\s*['"][^'"\n]{0,60}(?:zip|\btar\b|tar-|archiv|yauzl|unpack|decompress)[^'"\n]{0,60}['"]/.test(
      text,
    );
  const shellHere = /(?:from|require\()\s*['"](?:node:)?child_process['"]|shelljs/.test(text);
  /** Looked at where it is used, or, in a function that is only given it, by everybody who gives it. */
  const isGuarded = (node: ts.Node): boolean => {
    let at: ts.Node = node;
    while (!isFunction(at) && !ts.isSourceFile(at)) at = at.parent;
    if (ts.isSourceFile(at)) return false;
    const own = at.getText(file);
    if (guards.test(own)) return true;
    const senders = flow.sendersOf(at);
    return (
      senders.length > 0 &&
      !requestAnywhere.test(own) &&
      senders.every((sender) => !ts.isSourceFile(sender) && guards.test(sender.getText(file)))
    );
  };
  const named = (node: ts.Node): string => {
    let at: ts.Node = node;
    const names: string[] = [];
    while (!ts.isSourceFile(at)) {
      if (ts.isVariableDeclaration(at) || ts.isPropertyAssignment(at) || (isFunction(at) && at.name !== undefined))
        names.push((at as ts.VariableDeclaration).name.getText(file));
      else if (ts.isBinaryExpression(at) && at.operatorToken.kind === ts.SyntaxKind.EqualsToken)
        names.push(at.left.getText(file));
      if (isFunction(at) && names.length > 0) break;
      at = at.parent;
    }
    return names.join(' ');
  };
  /** Names that never stand for anything but this, and those that were imported under another name. */
  const stands = new Map<string, ts.Expression | string>();
  const twice = new Set<string>();
  const drawing = new Set<string>();
  const types = new Map<string, ts.TypeNode | ts.InterfaceDeclaration>();
  const declare = (node: ts.Node): void => {
    const keep = (name: string, is: ts.Expression | string): void => {
      if (stands.has(name)) twice.add(name);
      stands.set(name, is);
    };
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer !== undefined) {
      const isConst = (ts.getCombinedNodeFlags(node) & ts.NodeFlags.Const) !== 0;
      if (isConst) keep(node.name.text, node.initializer);
      else twice.add(node.name.text);
      if (isFunction(node.initializer) && /\bMath\.random\(/.test(node.initializer.getText(file)))
        drawing.add(node.name.text);
    } else if ((ts.isParameter(node) || ts.isBindingElement(node)) && ts.isIdentifier(node.name))
      twice.add(node.name.text);
    else if (ts.isImportSpecifier(node) && node.propertyName !== undefined)
      keep(node.name.text, node.propertyName.text);
    else if (ts.isFunctionDeclaration(node) && /\bMath\.random\(/.test(node.getText(file)))
      drawing.add(node.name?.text ?? '');
    else if (ts.isInterfaceDeclaration(node)) types.set(node.name.text, node);
    else if (ts.isTypeAliasDeclaration(node)) types.set(node.name.text, node.type);
    ts.forEachChild(node, declare);
  };
  declare(file);
  /** What a name stands for, where it stands for one thing only. */
  const meant = (node: ts.Expression, steps = 0): ts.Expression => {
    const plain = ts.isAsExpression(node) || ts.isParenthesizedExpression(node) ? node.expression : node;
    const is = ts.isIdentifier(plain) && !twice.has(plain.text) ? stands.get(plain.text) : undefined;
    return is === undefined || typeof is === 'string' || steps > 5 ? plain : meant(is, steps + 1);
  };
  /** The text that this always is; null where it is not known. */
  const textOf = (node: ts.Expression): string | null => {
    const parts = pieces(meant(node));
    return parts.every((part) => typeof part === 'string') ? parts.join('') : null;
  };
  /** What is called, whatever name this file has given it. */
  const calleeOf = (node: ts.Expression, steps = 0): string => {
    const is = meant(node);
    // A name may be written as what it is itself made of.
    if (steps > 5) return node.getText(file).replace(/\s+/g, '');
    if (ts.isIdentifier(is) && typeof stands.get(is.text) === 'string' && !twice.has(is.text))
      return stands.get(is.text) as string;
    if (ts.isCallExpression(is) && /(?:^|\.)promisify$/.test(is.expression.getText(file)) && is.arguments.length === 1)
      return calleeOf(is.arguments[0]!, steps + 1);
    // `(0, eval)(…)`
    if (ts.isBinaryExpression(is) && is.operatorToken.kind === ts.SyntaxKind.CommaToken)
      return calleeOf(is.right, steps + 1);
    if (ts.isElementAccessExpression(is) && /^(?:globalThis|global|window|self)$/.test(is.expression.getText(file)))
      return textOf(is.argumentExpression) ?? '';
    // The constructor of any function makes functions of text.
    if (ts.isPropertyAccessExpression(is) && is.name.text === 'constructor') {
      const of = is.expression.getText(file);
      if (isFunction(meant(is.expression)) || /^Object\.getPrototypeOf\((?:async\s+)?function/.test(of))
        return 'Function';
    }
    return (ts.isIdentifier(is) || ts.isPropertyAccessExpression(is) ? is : node).getText(file).replace(/\s+/g, '');
  };
  const hit = (
    node: ts.Node,
    rule: string,
    level: Hit['level'] | 'critical',
    message: string,
    remedy: string,
  ): void => {
    if (rule === 'xss') written.add(node);
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
    const key = node.getText(file).replace(/\s+/g, ' ').slice(0, 300);
    hits.push({
      rule: `security.${rule}`,
      level: level === 'critical' ? 'error' : level,
      veto: level === 'critical',
      message,
      line,
      remedy,
      key,
    });
  };
  const sentAway = (node: ts.Node): void =>
    hit(
      node,
      'open_redirect',
      'error',
      'A request decides where the browser is sent.',
      'Send it to a path of this site, or to a host from a fixed list.',
    );
  const graded = (origin: Origin, dynamic: Hit['level'] | null): Hit['level'] | 'critical' | null =>
    origin === 'request'
      ? 'critical'
      : origin === 'dynamic'
        ? tool && dynamic === 'error'
          ? 'warning'
          : dynamic
        : null;
  const fromRequest = (origin: Origin): string => (origin === 'request' ? ' what a request sent' : ' a value');

  const sql = (node: ts.Expression, parts = pieces(node)): void => {
    const whole = parts.map((part) => (typeof part === 'string' ? part : ' \u0001 ')).join('');
    if (!statement.test(whole.replaceAll('\u0001', 'x'))) {
      if (speaksSql) condition(node, parts);
      return;
    }
    let before = '';
    let origins: Origin = 'constant';
    let inValue = false;
    for (const part of parts) {
      if (typeof part === 'string') {
        before += part;
        continue;
      }
      const origin = flow.of(part);
      const counted = /\$$/.test(before) || /^\$|^\?/.test(part.getText(file));
      if (origin !== 'constant' && !counted) {
        const told = partOfStatement.test(part.getText(file));
        inValue ||= valuePlace.test(before) && !isColumn(before) && !told;
        // A text that a caller gives is no name of a column until somebody has looked.
        inValue ||=
          /\b(?:order|group)\s+by\s+$/i.test(before) && !told && isGiven(part) && isText(part) && !isGuarded(node);
        origins = stronger(origins, origin);
      }
      before += ' x ';
    }
    if (origins === 'constant') return;
    const level = origins === 'request' ? 'critical' : inValue ? 'error' : 'warning';
    hit(
      node,
      'sql_injection',
      level,
      `This SQL is put together from text and${fromRequest(origins)}.`,
      'Pass values as parameters of the query; take names of tables and columns from a fixed list.',
    );
  };

  /** `name = '${value}'`: a part of a statement that is put together elsewhere, with a value between its quotes. */
  const condition = (node: ts.Expression, parts: readonly (string | ts.Expression)[]): void => {
    let before = '';
    for (const [at, part] of parts.entries()) {
      const behind = parts[at + 1];
      if (
        typeof part !== 'string' &&
        flow.of(part) !== 'constant' &&
        typeof behind === 'string' &&
        /^%?'\s*(?:$|\)|and\b|or\b)/i.test(behind) &&
        /^\s*(?:(?:where|and|or|not)\s+)?\(?[\w."]+\s*(?:=|<>|!=|\b(?:i?like))\s*'%?$/i.test(before)
      )
        hit(
          node,
          'sql_injection',
          flow.of(part) === 'request' ? 'critical' : 'error',
          `This condition is put together from text and${fromRequest(flow.of(part))}.`,
          'Pass values as parameters of the query.',
        );
      before += typeof part === 'string' ? part : 'x';
    }
  };

  /** The parameter of a function around it that a name is. */
  const parameterOf = (name: ts.Identifier): ts.ParameterDeclaration | undefined => {
    for (let scope: ts.Node = name; !ts.isSourceFile(scope); scope = scope.parent) {
      const own = isFunction(scope)
        ? scope.parameters.find((each) => ts.isIdentifier(each.name) && each.name.text === name.text)
        : undefined;
      if (own !== undefined) return own;
    }
    return undefined;
  };
  /** What this file says of a value's type, where it does. */
  const typeOf = (node: ts.Expression): ts.TypeNode | undefined => {
    if (ts.isIdentifier(node)) {
      const parameter = parameterOf(node);
      return parameter === undefined ? undefined : (parameter.type ?? ts.getJSDocType(parameter));
    }
    if (!ts.isPropertyAccessExpression(node)) return undefined;
    const of = typeOf(node.expression);
    const whole =
      of !== undefined && ts.isTypeReferenceNode(of) && ts.isIdentifier(of.typeName) ? types.get(of.typeName.text) : of;
    if (whole === undefined || !(ts.isTypeLiteralNode(whole) || ts.isInterfaceDeclaration(whole))) return undefined;
    const member = whole.members.find((each) => each.name?.getText(file) === node.name.text);
    return member !== undefined && ts.isPropertySignature(member) ? member.type : undefined;
  };
  /** Known to be a text: numbers and what is counted do no harm between tags. */
  const isText = (node: ts.Expression, steps = 0): boolean => {
    const at = meant(node);
    if (steps > 5) return false;
    if (ts.isNonNullExpression(at)) return isText(at.expression, steps + 1);
    if (ts.isBinaryExpression(at) && /^(?:\?\?|\|\|)$/.test(at.operatorToken.getText(file)))
      return ts.isStringLiteralLike(at.right) || isText(at.left, steps + 1);
    if (ts.isCallExpression(at) && ts.isPropertyAccessExpression(at.expression)) {
      const { name, expression: on } = at.expression;
      if (name.text === 'get') return /(?:\.searchParams|^new URLSearchParams\(.*\))$/s.test(meant(on).getText(file));
      return name.text === 'toString' ? isText(on, steps + 1) : /^(?:trim|toLowerCase|toUpperCase)$/.test(name.text);
    }
    const type = typeOf(at);
    return (
      type !== undefined &&
      (ts.isUnionTypeNode(type) ? [...type.types] : [type]).some(({ kind }) => kind === ts.SyntaxKind.StringKeyword)
    );
  };
  /** A value that whoever calls this function gave it, as it is. */
  const isGiven = (node: ts.Expression): boolean => {
    let at = meant(node);
    for (let steps = 0; steps < 10; steps++) {
      if (ts.isPropertyAccessExpression(at) || ts.isNonNullExpression(at)) at = at.expression;
      else if (ts.isBinaryExpression(at) && /^(?:\?\?|\|\|)$/.test(at.operatorToken.getText(file))) at = at.left;
      else if (ts.isNewExpression(at) && /^URL/.test(at.expression.getText(file)) && at.arguments?.[0] !== undefined)
        at = at.arguments[0];
      else if (
        ts.isCallExpression(at) &&
        ts.isPropertyAccessExpression(at.expression) &&
        /^(?:get|trim|toString|toLowerCase|toUpperCase)$/.test(at.expression.name.text)
      )
        at = at.expression.expression;
      else break;
      at = meant(at);
    }
    return ts.isIdentifier(at) && parameterOf(at) !== undefined;
  };
  /** What people write, by what it is called: a part of what whoever calls the function hands in, of which no type says anything else. */
  const isOfPeople = (node: ts.Expression): boolean => {
    let at = meant(node);
    if (ts.isCallExpression(at) && ts.isPropertyAccessExpression(at.expression) && at.expression.name.text === 'trim')
      at = meant(at.expression.expression);
    if (!ts.isPropertyAccessExpression(at) || !ofPeople.test(at.name.text)) return false;
    let root: ts.Expression = at;
    while (ts.isPropertyAccessExpression(root)) root = root.expression;
    const parameter = ts.isIdentifier(root) && !ofThePage.test(root.text) ? parameterOf(root) : undefined;
    if (parameter === undefined || ((parameter.type ?? ts.getJSDocType(parameter)) !== undefined && !isText(at)))
      return false;
    // What a list of this file is gone through with is as good as the list.
    const call = parameter.parent.parent;
    if (!ts.isCallExpression(call)) return true;
    return ts.isPropertyAccessExpression(call.expression) && isGiven(call.expression.expression);
  };
  /** Markup with a text between its tags that nothing has looked at is worse than markup that comes from somewhere. */
  const markupLevel = (node: ts.Expression): Hit['level'] => {
    const parts = pieces(meant(node));
    return parts.some((part) => typeof part === 'string' && markup.test(part)) &&
      parts.some(
        (part) =>
          typeof part !== 'string' &&
          flow.of(part) === 'dynamic' &&
          isGiven(part) &&
          (isText(part) || isOfPeople(part)),
      )
      ? 'error'
      : 'warning';
  };

  const html = (node: ts.Expression, sends: boolean): void => {
    // Data is sent as JSON.
    if (ts.isObjectLiteralExpression(node) || ts.isArrayLiteralExpression(node)) return;
    const parts = pieces(node);
    const tags = parts.some((part) => typeof part === 'string' && /<\/?[a-z][\w-]*[\s>/]?/i.test(part));
    const worst = parts
      .map((part) => (typeof part === 'string' ? 'constant' : flow.of(part)))
      .reduce(stronger, 'constant' as Origin);
    if (worst === 'request' && (tags || sends))
      hit(
        node,
        'xss',
        'critical',
        'What a request sent is written into a page as it is.',
        'Escape it for the place where it goes, or let a template engine do it.',
      );
    else if (worst === 'dynamic' && tags && sends)
      hit(
        node,
        'xss',
        'warning',
        'A value is written into a page without being escaped here.',
        'Escape it for the place where it goes.',
      );
    else if (
      worst === 'dynamic' &&
      tags &&
      escapes.test(text) &&
      !cleansMarkup.test(text) &&
      parts.some((part) => typeof part !== 'string' && flow.of(part) === 'dynamic' && isGiven(part) && isOfPeople(part))
    )
      hit(
        node,
        'xss',
        'error',
        'A text is written into markup as it is, in a file that escapes what it writes.',
        'Escape it like the others.',
      );
  };

  const isWritten = (node: ts.Node): boolean => {
    for (let at = node; !ts.isSourceFile(at) && !isFunction(at); at = at.parent) if (written.has(at)) return true;
    return false;
  };

  /** Of the headers of an answer: `{ headers: { … } }`, `writeHead(302, { … })`. */
  const isHeader = (node: ts.PropertyAssignment): boolean => {
    const holder = node.parent.parent;
    return (
      (ts.isPropertyAssignment(holder) && /^['"]?headers['"]?$/i.test(holder.name.getText(file))) ||
      (ts.isCallExpression(holder) && /\.(?:writeHead|set|header|headers)$/.test(holder.expression.getText(file)))
    );
  };
  /** Each asks for the text of a whole function. */
  const mostLooks = 100;
  let looks = 0;
  const joinedOnce = new Set<ts.Node>();

  /** What stands behind `?next=` of an address, as it is, and not behind the beginning of one. */
  const decidesWhere = (node: ts.Expression, steps = 0): boolean => {
    const at = meant(node);
    if (steps > 5) return false;
    if (ts.isBinaryExpression(at) && /^(?:\?\?|\|\|)$/.test(at.operatorToken.getText(file)))
      return decidesWhere(at.left, steps + 1);
    return (
      (ts.isCallExpression(at) && /\bsearchParams\.get$/.test(at.expression.getText(file))) ||
      (ts.isPropertyAccessExpression(at) &&
        /\.(?:query|searchParams)\.\w+$/.test(at.getText(file)) &&
        flow.of(at) === 'request')
    );
  };

  /** `const parts = ['select …', 'order by ' + by];` and, elsewhere, `parts.join(' ')`. */
  const joinedByName = (node: ts.Node): ts.Expression[] | null => {
    if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return null;
    const { expression: list, name } = node.expression;
    const is = ts.isIdentifier(list) && name.text === 'join' ? meant(list) : list;
    if (is === list || !ts.isArrayLiteralExpression(is) || joinedOnce.has(is)) return null;
    joinedOnce.add(is);
    return is.elements.some(ts.isSpreadElement) ? null : [...is.elements];
  };

  const visit = (node: ts.Node): void => {
    const joined = selects ? joinedByName(node) : null;
    if (joined?.some(isBuilt) === true)
      sql(
        node as ts.Expression,
        joined.flatMap((each) => [...pieces(each), ' ']),
      );
    if (
      (ts.isTemplateExpression(node) ||
        ((ts.isBinaryExpression(node) || ts.isCallExpression(node)) && isBuilt(node))) &&
      !ts.isTaggedTemplateExpression(node.parent) &&
      !(ts.isBinaryExpression(node.parent) && isBuilt(node.parent))
    ) {
      sql(node);
      // Wherever it goes from here, an element with something in it is markup. Where it is written was looked at before.
      if (!isWritten(node) && pieces(node).some((part) => typeof part === 'string' && markup.test(part)))
        html(node, false);
    }
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
      const target = node.left.getText(file).replace(/\[['"](\w+)['"]\]$/, '.$1');
      if (/\.(?:innerHTML|outerHTML|srcdoc)$/.test(target)) {
        const level = graded(flow.of(node.right), markupLevel(node.right));
        if (level !== null)
          hit(
            node,
            'xss',
            level,
            `${target} is given${fromRequest(flow.of(node.right))} as markup.`,
            'Use textContent, or escape it.',
          );
      } else if (/^(?:ctx|context)\.body$/.test(target)) html(node.right, true);
      else if (/NODE_TLS_REJECT_UNAUTHORIZED/.test(target))
        hit(
          node,
          'tls_off',
          'critical',
          'Certificates are no longer checked, for the whole process.',
          'Trust the certificate’s issuer instead.',
        );
    }
    if (
      ts.isJsxAttribute(node) &&
      node.name.getText(file) === 'dangerouslySetInnerHTML' &&
      node.initializer !== undefined &&
      ts.isJsxExpression(node.initializer) &&
      node.initializer.expression !== undefined
    ) {
      const level = graded(flow.of(node.initializer.expression), 'warning');
      if (level !== null)
        hit(node, 'xss', level, 'Markup is set from a value.', 'Render it as text, or clean it first.');
    }
    if (
      ts.isJsxAttribute(node) &&
      /^(?:href|src|action|formAction|srcDoc|xlinkHref)$/.test(node.name.getText(file)) &&
      node.initializer !== undefined &&
      ts.isJsxExpression(node.initializer) &&
      node.initializer.expression !== undefined
    ) {
      // A whole address may begin with `javascript:`; what stands behind the beginning of one may not.
      const [start] = pieces(node.initializer.expression);
      if (typeof start !== 'string' && start !== undefined && flow.of(start) === 'request' && !isGuarded(node))
        hit(
          node,
          'xss',
          'critical',
          'What a request sent is an address that this page follows, and may be a script.',
          'Follow only addresses that begin with a path of this site, or with https:.',
        );
    }
    if (ts.isPropertyAssignment(node)) {
      const name = node.name.getText(file).replace(/['"]/g, '');
      const value = node.initializer.getText(file);
      if (name === 'rejectUnauthorized' && meant(node.initializer).kind === ts.SyntaxKind.FalseKeyword)
        hit(
          node,
          'tls_off',
          'error',
          'Certificates are not checked on this connection.',
          'Trust the certificate’s issuer instead.',
        );
      if (
        /^location$/i.test(name) &&
        isHeader(node) &&
        decidesWhere(node.initializer) &&
        looks++ < mostLooks &&
        !isGuarded(node)
      )
        sentAway(node);
      if (name === '$where' && flow.of(node.initializer) !== 'constant')
        hit(
          node,
          'nosql_injection',
          flow.of(node.initializer) === 'request' ? 'critical' : 'error',
          '$where is given code put together from a value.',
          'Write the condition with operators.',
        );
      if (name === 'algorithms' && /['"]none['"]/.test(value))
        hit(
          node,
          'unsigned_token',
          'critical',
          'Tokens without a signature are accepted.',
          'Name the algorithm that is used.',
        );
      if (name === 'ignoreExpiration' && value === 'true')
        hit(node, 'unsigned_token', 'error', 'Tokens are accepted after they have expired.', 'Let them expire.');
      if (name === 'noent' && value === 'true')
        hit(node, 'xxe', 'error', 'External entities of XML are resolved.', 'Leave entities unresolved.');
    }
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) call(node);
    if (isFunction(node)) token(node);
    if (ts.isBinaryExpression(node)) backDoor(node);
    ts.forEachChild(node, visit);
  };

  /** A step over what a function has at hand, which is a part of that function. */
  const isStep = (node: ts.Node): boolean =>
    ts.isCallExpression(node.parent) &&
    /\.(?:map|flatMap|then|find|filter)$/.test(node.parent.expression.getText(file));
  /** What a function does itself: without the functions that it makes. */
  const ownCode = (node: FunctionNode): string => {
    let code = '';
    let from = node.getStart(file);
    const leave = (each: ts.Node): void => {
      if (!isFunction(each) || isStep(each)) return ts.forEachChild(each, leave);
      code += text.slice(from, each.getStart(file));
      from = each.getEnd();
    };
    ts.forEachChild(node, leave);
    return withoutComments(code + text.slice(from, node.getEnd()));
  };
  const mayBelieve =
    /\.split\(\s*['"`]\.['"`]\s*\)/.test(text) &&
    /JSON\.parse\(/.test(text) &&
    /base64|\batob\(/.test(text) &&
    !/verif|createHmac|timingSafeEqual|\bsign(?:ature|ed)?\b/i.test(withoutComments(text));
  /** What a token says is believed because somebody sent it. What a page reads of its own token, such as when it ends, is its own affair. */
  const token = (node: FunctionNode): void => {
    if (!mayBelieve || isStep(node)) return;
    const own = ownCode(node);
    if (
      sentWith.test(own) &&
      /\.split\(\s*['"`]\.['"`]\s*\)/.test(own) &&
      /JSON\.parse\(/.test(own) &&
      /base64|\batob\(/.test(own)
    )
      hit(
        node,
        'unsigned_token',
        'error',
        'What a token says is believed, and nobody looks at its signature.',
        'Verify with the key and the algorithm that are expected.',
      );
  };

  /** Holds what is to be kept secret, and is not the name of a field, a kind or a failure that has to do with one. */
  const isSecret = (node: ts.Expression): boolean => {
    if (ts.isStringLiteralLike(node)) return false;
    const said = node.getText(file);
    if (!/passw|secret|api_?key|credential|passphrase/i.test(said)) return false;
    if (/\benv\b|config|settings/i.test(`${said} ${meant(node).getText(file)}`)) return true;
    const last = said.split('.').at(-1) ?? '';
    return !(
      /^[A-Z][A-Z0-9_]*$/.test(last) ||
      /^[A-Z]\w*\.[A-Z]\w*$/.test(said) ||
      /(?:field|name|type|kind|label|code|error|input|column|path|route|id)s?$/i.test(last)
    );
  };

  /** `given === secret || given === 'letmein'`: a second key that everybody knows who has read this. */
  const backDoor = (node: ts.BinaryExpression): void => {
    if (node.operatorToken.kind !== ts.SyntaxKind.BarBarToken) return;
    // A chain is looked at once, from its top.
    if (ts.isBinaryExpression(node.parent) && node.parent.operatorToken.kind === ts.SyntaxKind.BarBarToken) return;
    const compared = (at: ts.Expression): ts.BinaryExpression[] =>
      ts.isParenthesizedExpression(at)
        ? compared(at.expression)
        : !ts.isBinaryExpression(at)
          ? []
          : at.operatorToken.kind === ts.SyntaxKind.BarBarToken
            ? [...compared(at.left), ...compared(at.right)]
            : /^={2,3}$/.test(at.operatorToken.getText(file))
              ? [at]
              : [];
    const sides = compared(node).flatMap(({ left, right }) => [
      { given: left, is: right },
      { given: right, is: left },
    ]);
    const asked = new Set(
      sides.flatMap(({ given, is }) => (isSecret(is) && !isSecret(given) ? [given.getText(file)] : [])),
    );
    const literal = sides.find(
      ({ given, is }) => ts.isStringLiteralLike(is) && is.text.length >= 4 && asked.has(given.getText(file)),
    )?.is.parent;
    if (literal !== undefined)
      hit(
        literal,
        'back_door',
        'critical',
        'Where a secret is asked for, a text that stands in the code does as well.',
        'Compare with the secret alone.',
      );
  };

  const call = (node: ts.CallExpression | ts.NewExpression): void => {
    const callee = calleeOf(node.expression);
    const name = callee.split('.').at(-1) ?? '';
    const on = callee.slice(0, Math.max(0, callee.length - name.length - 1));
    const given = node.arguments ?? [];
    const [first, second, third] = given;
    // A function of this file that draws, where what is drawn is to be kept secret; what draws for games draws for anything.
    if (
      ts.isIdentifier(node.expression) &&
      drawing.has(node.expression.text) &&
      secretName.test(named(node)) &&
      !secretName.test(node.expression.text)
    )
      hit(
        node,
        'weak_random',
        'error',
        `${node.expression.text} draws with Math.random(), which can be foreseen, and what is made here should not be.`,
        'Use crypto.randomBytes, crypto.randomInt or crypto.randomUUID.',
      );
    if (first === undefined) {
      if (callee === 'Math.random' && secretName.test(named(node)))
        hit(
          node,
          'weak_random',
          'error',
          'Math.random() can be foreseen, and what it makes here should not be.',
          'Use crypto.randomBytes or crypto.randomUUID.',
        );
      return;
    }
    const origin = flow.of(first);
    const isShell =
      shellHere &&
      /^(?:exec|execSync|execAsync|execP|execPromise)$/.test(name) &&
      /^(?:|cp|child_?process|proc|shell|shelljs)$/i.test(on);
    if (isShell) {
      const level = graded(origin, isBuilt(meant(first)) ? 'error' : 'warning');
      if (level !== null)
        hit(
          node,
          'command_injection',
          level,
          `A shell is given a line with${fromRequest(origin)} in it.`,
          'Use execFile or spawn with a list of arguments and no shell.',
        );
    }
    if (shellHere && /^(?:spawn|spawnSync|execFile|execFileSync|fork)$/.test(name)) {
      const arrayed = second !== undefined && ts.isArrayLiteralExpression(second) ? second.elements : [];
      const script =
        /^['"`](?:\/bin\/)?(?:ba|z|da)?sh['"`]$/.test(first.getText(file)) &&
        arrayed[0]?.getText(file).includes('-c') === true
          ? arrayed[1]
          : undefined;
      const settings = given.map((each) => meant(each)).filter(ts.isObjectLiteralExpression);
      const shell = settings.some((each) => /\bshell\s*:(?!\s*false\b)/.test(each.getText(file)));
      const worst =
        script !== undefined
          ? flow.of(script)
          : shell
            ? given
                .map((each) => (ts.isObjectLiteralExpression(meant(each)) ? 'constant' : flow.of(each)))
                .reduce(stronger, 'constant' as Origin)
            : origin === 'request'
              ? 'request'
              : 'constant';
      const level = graded(worst, 'error');
      if (level !== null)
        hit(
          node,
          'command_injection',
          level,
          `A shell is given${fromRequest(worst)}.`,
          'Call the program itself, with a list of arguments and no shell.',
        );
    }
    if (
      /^(?:eval|Function|runInNewContext|runInThisContext|runInContext|compileFunction)$/.test(name) &&
      !(name === 'Function' && ts.isCallExpression(node) && on !== '')
    ) {
      const worst = given
        .map((each) => (ts.isObjectLiteralExpression(each) ? 'constant' : flow.of(each)))
        .reduce(stronger, 'constant' as Origin);
      hit(
        node,
        'code_injection',
        worst === 'request' ? 'critical' : worst === 'dynamic' ? 'error' : 'warning',
        `Text is run as code${worst === 'request' ? ', and a request sent it' : ''}.`,
        'Parse what is expected, or look it up in a table of functions.',
      );
    }
    if (/^Reflect\.(?:construct|apply)$/.test(callee) && /^(?:Function|eval)$/.test(calleeOf(first)))
      hit(
        node,
        'code_injection',
        'error',
        'Text is run as code.',
        'Parse what is expected, or look it up in a table of functions.',
      );
    if (/^(?:setTimeout|setInterval)$/.test(callee) && (ts.isStringLiteralLike(first) || isBuilt(first)))
      hit(
        node,
        'code_injection',
        origin === 'request' ? 'critical' : 'error',
        'A timer is given text that is run as code.',
        'Give it a function.',
      );
    if (
      /^(?:res|response|reply|c)(?:\.status\([^)]*\)|\.type\([^)]*\)|\.set\([^)]*\))*$/.test(on) &&
      /^(?:send|write|end|html|body)$/.test(name)
    )
      html(first, true);
    if (callee === 'Response' && ts.isNewExpression(node)) html(first, /text\/html/.test(node.getText(file)));
    if (
      /^(?:document\.write|document\.writeln)$/.test(callee) ||
      /^(?:insertAdjacentHTML|createContextualFragment|setHTMLUnsafe)$/.test(name) ||
      (/^(?:\$|jQuery\b)/.test(on) && /^(?:html|append|prepend|before|after|replaceWith|wrap)$/.test(name))
    ) {
      const written = name === 'insertAdjacentHTML' ? (second ?? first) : first;
      const level = graded(flow.of(written), markupLevel(written));
      if (level !== null) hit(node, 'xss', level, 'Markup is written from a value.', 'Use textContent, or escape it.');
    }
    if (/^(?:redirect)$/.test(name) && /^(?:res|response|reply|ctx|c)$/.test(on)) {
      const target = given.find((each) => flow.of(each) === 'request');
      const start = target === undefined ? undefined : pieces(target)[0];
      if (target !== undefined && !(typeof start === 'string' && /^\/[^/]/.test(start)) && !isGuarded(node))
        sentAway(node);
    }
    const files =
      /^(?:readFile|readFileSync|createReadStream|writeFile|writeFileSync|createWriteStream|appendFile|appendFileSync|unlink|unlinkSync|rm|rmSync|rmdir|rmdirSync|readdir|readdirSync|open|openSync|sendFile|download|copyFile|copyFileSync|stat|statSync)$/;
    if (
      files.test(name) &&
      origin === 'request' &&
      !isGuarded(node) &&
      !(name === 'sendFile' && /\broot\s*:/.test(second?.getText(file) ?? ''))
    )
      hit(
        node,
        'path_traversal',
        'critical',
        'A request decides which file this is, and nothing keeps it inside a folder.',
        'Resolve the path and check that it stays within the folder that it belongs to.',
      );
    if (
      /^(?:writeFile|writeFileSync|createWriteStream|open|openSync|mkdir|mkdirSync)$/.test(name) &&
      /\b(?:join|resolve)\([^()]*,\s*(?:entry|header|file|member|item)\.(?:fileName|entryName|filename|path|name)\b/.test(
        meant(first).getText(file),
      ) &&
      unpacks &&
      looks++ < mostLooks &&
      !isGuarded(node)
    )
      hit(
        node,
        'path_traversal',
        'error',
        'An archive decides where its files are written, and nothing keeps them inside a folder.',
        'Resolve each path and check that it stays within the folder.',
      );
    if ((askers.functions.has(callee) || (askers.objects.has(on) && isAsking.test(name))) && !isGuarded(node)) {
      const [start, next] = pieces(first);
      const host =
        typeof start === 'string'
          ? /^$|^[a-z]+:\/\/[^/]*$/i.test(start) && next !== undefined && typeof next !== 'string'
            ? flow.of(next)
            : 'constant'
          : start === undefined
            ? 'constant'
            : flow.of(start);
      if (host === 'request')
        hit(
          node,
          'ssrf',
          'critical',
          'A request decides which server this one asks.',
          'Check the address against a list of hosts, and refuse private ones.',
        );
    }
    if (
      (name === 'unserialize' && /serial/i.test(callee + text.slice(0, 3000))) ||
      callee === 'v8.deserialize' ||
      (name === 'load' && /ya?ml/i.test(on) && /DEFAULT_FULL_SCHEMA|UNSAFE/i.test(node.getText(file)))
    )
      hit(
        node,
        'unsafe_deserialisation',
        origin === 'request' ? 'critical' : origin === 'dynamic' ? 'error' : 'warning',
        'Data is turned into objects by something that runs what the data says.',
        'Use JSON, or a loader that makes plain data only.',
      );
    if (
      /^(?:compile|render|renderString|template)$/.test(name) &&
      /^(?:ejs|pug|handlebars|Handlebars|nunjucks|_|lodash|mustache|Mustache|dot|doT)$/.test(on) &&
      origin === 'request'
    )
      hit(
        node,
        'template_injection',
        'critical',
        'A request decides what the template is.',
        'Keep templates in files; pass what was sent as data.',
      );
    if (
      /^(?:find|findOne|findOneAndUpdate|updateOne|updateMany|deleteOne|deleteMany|countDocuments)$/.test(name) &&
      origin === 'request' &&
      /^(?:req|request|ctx)[\w.]*\.(?:body|query)$/.test(first.getText(file))
    )
      hit(
        node,
        'nosql_injection',
        'critical',
        'What a request sent is the whole condition of a query.',
        'Take the fields that are expected, as strings.',
      );
    if (name === 'createHash' || name === 'createHmac') {
      const algorithm = textOf(first) ?? '';
      if (
        /^(?:md5|sha1|md4|ripemd160)$/i.test(algorithm) &&
        hidden.test(`${named(node)} ${node.parent.parent.parent?.getText(file).slice(0, 300) ?? ''}`)
      )
        hit(
          node,
          'weak_crypto',
          'error',
          `${algorithm} is broken, and protects something here.`,
          'Use scrypt or argon2 for passwords, SHA-256 or better for the rest.',
        );
      else if (
        name === 'createHash' &&
        /^(?:sha256|sha512)$/i.test(algorithm) &&
        /passw|passcode|\bpin\b/i.test(`${named(node)} ${node.parent.parent.getText(file).slice(0, 200)}`)
      )
        hit(
          node,
          'weak_crypto',
          'warning',
          'A plain hash of a password is guessed quickly.',
          'Use scrypt or argon2 with a salt.',
        );
    }
    if (/^(?:createCipher|createDecipher)$/.test(name))
      hit(
        node,
        'weak_crypto',
        'error',
        `${name} makes its key from a password without salt.`,
        'Use createCipheriv with an authenticated mode.',
      );
    if (/^create(?:De)?[Cc]ipheriv$/.test(name)) {
      if (/des|rc4|rc2|-ecb|blowfish|bf-/i.test(first.getText(file)))
        hit(
          node,
          'weak_crypto',
          'error',
          `${first.getText(file)} hides nothing from somebody who tries.`,
          'Use aes-256-gcm.',
        );
      const iv = third?.getText(file) ?? '';
      if (
        name === 'createCipheriv' &&
        third !== undefined &&
        (ts.isStringLiteralLike(third) || /^Buffer\.(?:alloc\(\d+\)|from\(['"])/.test(iv))
      )
        hit(
          node,
          'weak_crypto',
          'error',
          'Every message is encrypted with the same starting value.',
          'Draw it with crypto.randomBytes for each message.',
        );
    }
    if (
      /^pbkdf2(?:Sync)?$/.test(name) &&
      third !== undefined &&
      /^\d[\d_]*$/.test(third.getText(file)) &&
      Number(third.getText(file).replaceAll('_', '')) < 10_000
    )
      hit(node, 'weak_crypto', 'error', 'So few rounds are guessed quickly.', 'Use at least 100,000, or scrypt.');
    if (
      name === 'verify' &&
      /jwt|jsonwebtoken/i.test(on) &&
      second !== undefined &&
      /^(?:null|undefined|''|""|false)$/.test(second.getText(file))
    )
      hit(
        node,
        'unsigned_token',
        'critical',
        'The token’s signature is not checked.',
        'Verify with the key and the algorithm that are expected.',
      );
  };
  visit(file);
  hits.push(...shapeSecurity(file));
  return hits;
}
