import ts from 'typescript';
import type { Hit } from '../source/fresh.ts';
import { unwrapped } from '../source/functions.ts';

type FunctionNode = ts.FunctionLikeDeclaration & { body: ts.ConciseBody };
const isFunction = (node: ts.Node): node is FunctionNode =>
  (ts.isFunctionDeclaration(node) ||
    ts.isFunctionExpression(node) ||
    ts.isArrowFunction(node) ||
    ts.isMethodDeclaration(node)) &&
  node.body !== undefined;

/** `createHmac(…).update(…).digest(…)`, as it is. */
function isDigest(node: ts.Expression | undefined, file: ts.SourceFile): boolean {
  let at = node === undefined ? undefined : unwrapped(node);
  if (at === undefined || !ts.isCallExpression(at) || !ts.isPropertyAccessExpression(at.expression)) return false;
  if (at.expression.name.text !== 'digest') return false;
  for (let steps = 0; steps < 10 && ts.isCallExpression(at); steps++) {
    const callee: ts.Expression = at.expression;
    if (/^(?:crypto\.)?createHmac$/.test(callee.getText(file).slice(0, 30))) return true;
    if (!ts.isPropertyAccessExpression(callee)) return false;
    at = callee.expression;
  }
  return false;
}

/** The names under which a file keeps, or makes, what proves that a message comes from somebody: nothing but such a digest. */
function signersIn(file: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const answerOf = (body: ts.ConciseBody | undefined): ts.Expression | undefined => {
    if (body === undefined || !ts.isBlock(body)) return body;
    const last = body.statements.at(-1);
    return last !== undefined && ts.isReturnStatement(last) ? last.expression : undefined;
  };
  const visit = (node: ts.Node): void => {
    const is = ts.isVariableDeclaration(node)
      ? node.initializer !== undefined && isFunction(node.initializer)
        ? answerOf(node.initializer.body)
        : node.initializer
      : ts.isFunctionDeclaration(node)
        ? answerOf(node.body)
        : undefined;
    const name =
      ts.isVariableDeclaration(node) || ts.isFunctionDeclaration(node) ? node.name?.getText(file) : undefined;
    if (name !== undefined && !/etag|cache|finger/i.test(name) && isDigest(is, file)) names.add(name);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return names;
}

const keysOf = /^Object\.(?:keys|entries)$/;
/** What keeps `__proto__` out: named, or kept in what has no prototype, or asked for among the object's own. */
const keepsOut =
  /__proto__|\bprototype\b|Object\.create\(null\)|hasOwn|isPrototypeOf|structuredClone|\bnew Map\b|isPlainObject|setPrototypeOf/;

/** Of which object this is a part under one of these keys: `base` of `base[key]`, and of `base[key] ??= {}`. */
function goesInto(node: ts.Expression, keys: ReadonlySet<string>, file: ts.SourceFile): string | null {
  const at = unwrapped(node);
  if (ts.isBinaryExpression(at)) return goesInto(at.left, keys, file);
  return ts.isElementAccessExpression(at) && keys.has(at.argumentExpression.getText(file))
    ? at.expression.getText(file)
    : null;
}

/** A function that calls itself, and writes under whatever keys something else has: with `__proto__` among them it writes into every object. */
function mergesBlindly(node: FunctionNode, file: ts.SourceFile): ts.Node | null {
  const name =
    node.name?.getText(file) ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name.getText(file) : '');
  const own = node.getText(file);
  if (name === '' || keepsOut.test(own) || file.text.includes('__proto__')) return null;
  const of = node.parameters[0]?.name.getText(file) ?? '';
  const keys = new Set<string>();
  let again = false;
  let guarded = false;
  let written: ts.Node | null = null;
  const visit = (at: ts.Node): void => {
    if (ts.isForInStatement(at) || ts.isForOfStatement(at)) {
      const list = ts.isForOfStatement(at) ? unwrapped(at.expression) : null;
      const isKeys =
        ts.isForInStatement(at) ||
        (list !== null && ts.isCallExpression(list) && keysOf.test(list.expression.getText(file)));
      const [declared] = ts.isVariableDeclarationList(at.initializer) ? at.initializer.declarations : [];
      if (isKeys && declared !== undefined) {
        const first = ts.isArrayBindingPattern(declared.name) ? declared.name.elements[0] : declared;
        if (first !== undefined && !ts.isOmittedExpression(first)) keys.add(first.name.getText(file));
      }
    }
    if (ts.isCallExpression(at)) {
      // Somebody looks at the key.
      if (/safe|forbid|block|allow|proto|reserved|own/i.test(at.expression.getText(file)) && at.arguments.some((each) => keys.has(each.getText(file)))) guarded = true; // prettier-ignore
      // What is merged into is a part of what was given.
      if (at.expression.getText(file) === name && at.arguments.some((each) => goesInto(each, keys, file) === of))
        again = true;
      const [step] = at.arguments;
      if (
        /\.forEach$/.test(at.expression.getText(file)) &&
        /Object\.(?:keys|entries)\(/.test(at.expression.getText(file)) &&
        step !== undefined &&
        isFunction(step)
      )
        keys.add(step.parameters[0]?.name.getText(file).replace(/^\[\s*(\w+)[\s\S]*$/, '$1') ?? '');
    }
    if (
      ts.isBinaryExpression(at) &&
      at.operatorToken.kind === ts.SyntaxKind.EqualsToken &&
      ts.isElementAccessExpression(at.left) &&
      keys.has(at.left.argumentExpression.getText(file)) &&
      // Of what it was given, and not of an object that it makes itself.
      node.parameters.some(
        (each) => each.name.getText(file) === (at.left as ts.ElementAccessExpression).expression.getText(file),
      )
    )
      written ??= at;
    ts.forEachChild(at, visit);
  };
  visit(node.body);
  return again && !guarded ? written : null;
}

const allowed = /\.(?:has|includes|some|test|indexOf|endsWith|match)\(|===|!==|allow(?:ed|list)|\bin\b\s+\w*[oO]rigins/;

/** Vulnerable patterns that only a whole function, or a whole file, shows. */
export function shapeSecurity(file: ts.SourceFile): Hit[] {
  const hits: Hit[] = [];
  const hit = (node: ts.Node, rule: string, message: string, remedy: string): void =>
    void hits.push({
      rule: `security.${rule}`,
      level: 'error',
      message,
      line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
      remedy,
      key: node.getText(file).replace(/\s+/g, ' ').slice(0, 300),
    });
  const signers = /\bcreateHmac\(/.test(file.text) ? signersIn(file) : new Set<string>();
  const isSignature = (node: ts.Expression): boolean => {
    const at = unwrapped(node);
    if (ts.isIdentifier(at)) return signers.has(at.text);
    if (!ts.isCallExpression(at)) return false;
    return (ts.isIdentifier(at.expression) && signers.has(at.expression.text)) || isDigest(at, file);
  };
  const visit = (node: ts.Node): void => {
    if (
      ts.isBinaryExpression(node) &&
      /^[!=]==?$/.test(node.operatorToken.getText(file)) &&
      (isSignature(node.left) || isSignature(node.right)) &&
      ![node.left, node.right].some((each) => /^(?:null|undefined|true|false|''|"")$/.test(each.getText(file)))
    )
      hit(
        node,
        'timing_attack',
        'How long this comparison takes tells how much of the signature is right.',
        'Compare with crypto.timingSafeEqual, after the lengths.',
      );
    if (isFunction(node)) {
      const merge = mergesBlindly(node, file);
      if (merge !== null)
        hit(
          merge,
          'prototype_pollution',
          'Under the key __proto__ this writes into every object.',
          'Leave out __proto__, constructor and prototype, or keep the values in a Map.',
        );
    }
    if (ts.isObjectLiteralExpression(node)) {
      const values = new Map(
        node.properties.flatMap((each) =>
          ts.isPropertyAssignment(each)
            ? [[each.name.getText(file).replace(/['"]/g, '').toLowerCase(), each.initializer] as const]
            : [],
        ),
      );
      const origin = values.get('access-control-allow-origin');
      if (
        origin !== undefined &&
        /^['"]?true['"]?$/.test(values.get('access-control-allow-credentials')?.getText(file) ?? '') &&
        !ts.isStringLiteralLike(unwrapped(origin)) &&
        reflects(origin, node)
      )
        hit(
          node,
          'cors',
          'Any page may ask in the name of whoever is signed in: the origin is let in as it comes.',
          'Compare the origin with a list of those that may.',
        );
    }
    ts.forEachChild(node, visit);
  };
  /** It is what the request said, and the function around it compares it with nothing but nothing. */
  const reflects = (origin: ts.Expression, node: ts.Node): boolean => {
    let at: ts.Node = node;
    while (!isFunction(at) && !ts.isSourceFile(at)) at = at.parent;
    const own = at.getText(file).replace(/[!=]==?\s*(?:undefined|null|''|"")/g, '');
    const sent = /\bheaders?\b[\s\S]{0,40}\borigin\b|\.get\(\s*['"]origin['"]\s*\)/i;
    const value = unwrapped(origin);
    const said = ts.isIdentifier(value)
      ? new RegExp(`\\b${value.text}\\b\\s*(?::[^=\\n]{0,60})?=(?!=)([^;\\n]{0,200})`).exec(own)?.[1]
      : value.getText(file);
    // Given to somebody, it may have been looked at.
    const isGivenOn = ts.isIdentifier(value) && new RegExp(`[\\w$]\\(\\s*${value.text}\\s*[,)]`).test(own);
    return said !== undefined && sent.test(said) && !isGivenOn && !allowed.test(own);
  };
  visit(file);
  return hits;
}
