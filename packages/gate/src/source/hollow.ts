import ts from 'typescript';

/** The words of a name: `isPaidUp` is, paid, up. */
const wordsOf = (name: string): string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);

/** Who is called so says that it does nothing with what it is given. */
const saysSo =
  /^(?:noop|nop|noops|null|none|never|always|default|defaults|constant|dummy|fallback|disabled|unlimited|identity|silent|quiet|inert)$/;
const ofAll = /^(?:all|any|anything|everything|everyone|nothing|nobody)$/;
const asks = /^(?:is|are|was|has|have|can|should|will|does|needs|requires|contains|includes|matches)$/;
const changes =
  /^(?:sanitize|sanitise|escape|normalize|normalise|encrypt|decrypt|hash|compress|encode|sort|dedupe|deduplicate|clean|trim|strip|convert|redact|mask|shuffle|validate|verify|check|sanitized|escaped|normalized)$/;
const reckons =
  /^(?:calculate|calc|compute|count|total|sum|average|mean|find|search|load|fetch|list|lookup|estimate|measure|size|length)$/;
const quantity = /^(?:count|total|sum|size|length|balance|price|amount|average|number|score)$/;
const acts =
  /^(?:save|store|persist|insert|send|publish|upload|notify|charge|refund|transfer|delete|remove|update|authenticate|authorize|authorise|reserve)$/;
/** `priceOf`, `expiringBefore`: what comes behind it is what it is about. */
const relates = /^(?:of|for|by|before|after|between|from|within|at)$/;
const isReckoned = (words: readonly string[]): boolean =>
  reckons.test(words[0] ?? '') ||
  (words[0] === 'get' &&
    (words[1] === 'all' ||
      words.slice(1).some((word) => quantity.test(word)) ||
      words.slice(2).some((word) => relates.test(word))));
/** Called by somebody else at a moment, who may find nothing to do in it. */
const hook = /^(?:on|before|after)$/;

/** A class of which others are made, or that stands in for another. */
const standsFor = /^(?:base|abstract|interface|mixin|mock|fake|stub)$/;

const admits = (name: string): boolean =>
  name.split('.').some((part, at, parts) => {
    const words = wordsOf(part);
    return (
      words.some((word) => saysSo.test(word) || (at < parts.length - 1 && standsFor.test(word))) ||
      /^(?:no|without)$/.test(words[0] ?? '') ||
      (!asks.test(words[0] ?? '') &&
        !/^(?:get|find|fetch|load|list|count)$/.test(words[0] ?? '') &&
        (ofAll.test(words.at(-1) ?? '') || /^(?:ok|yes|no|zero|empty)$/.test(part)))
    );
  });

/** What of a function says whether somebody may expect something of it. */
export interface Bearing {
  /** `Basket.isEmpty`. */
  readonly name: string;
  /** How many things it takes, `self` and `this` left out. */
  readonly takes: number;
  /** `same`: what it is given first. */
  readonly answers: 'nothing' | 'a constant' | 'the same';
  /** It belongs to something with a state of its own. */
  readonly ofState: boolean;
  /** The constant is a text: a label, a name. */
  readonly isText: boolean;
  /** What its documentation says; empty where there is none. */
  readonly says: string;
}

/** Documentation of what is empty on purpose, or called by the rules of others. */
const owns =
  /\b(?:nothing|no-?ops?|nops?|(?:do|does|did|is|are) not|doesn['’]t|isn['’]t|never|without|ignor\w*|hooks?|callbacks?|listeners?|handlers?|overrid\w*|overwrit\w*|subclass\w*|default\w*|intentional\w*|deliberate\w*|on purpose|abstract|empt\w+|optional\w*|unsupported|(?:un)?used|deprecated|no longer|called|placeholders?|dumm(?:y|ies)|null|stub\w*|mock\w*|fakes?|silent\w*|discard\w*|swallow\w*|drops?|interface|compat\w*|implement\w*|allow\w*|lets?|satisf\w*|types?)\b/i;
/** It tells of work in a sentence. */
const tellsOfWork = (says: string): boolean => (says.match(/\p{L}+/gu)?.length ?? 0) >= 3 && !owns.test(says);

/**
 * Does a function answer the same whatever it is given, or whatever it holds, under a name that says otherwise? What its tests say of it
 * does not count: who leaves the work out writes those as well.
 */
export function isHollow({ name, takes, answers, ofState, isText, says }: Bearing): boolean {
  const own = name.split('.').at(-1)!;
  const words = wordsOf(own);
  const first = words[0] ?? '';
  if (admits(name) || hook.test(first) || /^__\w+__$/.test(own)) return false;
  if (answers === 'the same') return takes > 0 && changes.test(first);
  if (answers === 'nothing') return takes > 0 && (acts.test(first) || tellsOfWork(says));
  if (takes === 0) return ofState && (asks.test(first) || (isReckoned(words) && !isText));
  return (
    asks.test(first) ||
    changes.test(first) ||
    acts.test(first) ||
    isReckoned(words) ||
    words.slice(1).some((word) => relates.test(word))
  );
}

/** Words to a log, waiting, and `void given;`, which only keeps a linter quiet, are no work. */
const isIdle = (statement: ts.Statement): boolean => {
  if (!ts.isExpressionStatement(statement)) return false;
  if (ts.isVoidExpression(statement.expression)) return ts.isIdentifier(statement.expression.expression);
  const text = statement.expression.getText();
  return (
    /^(?:console|log|logger|this\.(?:#?log|#?logger))\.(?:log|info|debug|warn|trace|error)\(/.test(text) ||
    /^await (?:sleep|delay|wait|setTimeout|new Promise(?:<\w+>)?\(\s*\(?\w+\)?\s*=>\s*setTimeout\()/.test(text)
  );
};
const isSuccess = (expression: ts.Expression): boolean =>
  expression.kind === ts.SyntaxKind.TrueKeyword ||
  (ts.isObjectLiteralExpression(expression) &&
    /\b(?:ok|success|sent|saved|valid)\b['"]?\s*:\s*true\b/.test(expression.getText()));

/** The words above it, up to the first tag: above the variable that keeps it as well. */
function saidOf(node: ts.Node): string {
  for (let at = node; !ts.isSourceFile(at) && !ts.isBlock(at) && !ts.isClassLike(at); at = at.parent) {
    const remark = ts.getJSDocCommentsAndTags(at).find(ts.isJSDoc);
    if (remark !== undefined) return ts.getTextOfJSDocComment(remark.comment) ?? '';
  }
  return '';
}

/** Of a function in a script, whose body is one of these; null: it does something, or is bound by what it belongs to. */
export function bearingOf(
  node: ts.FunctionLikeDeclaration,
  name: string,
  shape: 'empty' | 'constant' | 'full',
): Bearing | null {
  const body = node.body;
  if (body === undefined || ts.isSetAccessor(node) || ts.isConstructorDeclaration(node)) return null;
  if ((ts.canHaveDecorators(node) ? (ts.getDecorators(node) ?? []) : []).length > 0) return null;
  // What only types look at.
  if (
    (node.typeParameters?.length ?? 0) > 0 ||
    node.parameters.some((each) => each.type?.kind === ts.SyntaxKind.NeverKeyword)
  )
    return null;
  let ofState = false;
  let within = '';
  const holder = node.parent;
  if (ts.isClassLike(holder)) {
    if (holder.heritageClauses !== undefined) return null;
    if (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some((each) => each.kind === ts.SyntaxKind.StaticKeyword))
      return null;
    ofState = holder.members.some((each) => ts.isPropertyDeclaration(each) || ts.isConstructorDeclaration(each));
  } else if (!ts.isFunctionDeclaration(node)) {
    // In an object that is handed to somebody it is a setting, and in a call it is a handler.
    let at: ts.Node = holder;
    if (ts.isPropertyAssignment(at)) at = at.parent;
    // What says of itself what it has to fit into is called by the rules of that.
    if (ts.isObjectLiteralExpression(at)) at = at.parent;
    if (ts.isPropertyDeclaration(at)) {
      if (ts.isClassLike(at.parent) && at.parent.heritageClauses !== undefined) return null;
    } else if (!ts.isVariableDeclaration(at) || at.type !== undefined) return null;
    else if (holder !== at) within = `${at.name.getText()}.`;
  }
  const takes = node.parameters.filter((each) => each.name.getText() !== 'this').length;
  const statements = ts.isBlock(body) ? body.statements : [];
  const last = statements.at(-1);
  const answer = !ts.isBlock(body)
    ? body
    : last !== undefined && ts.isReturnStatement(last)
      ? last.expression
      : undefined;
  const isText = answer !== undefined && ts.isStringLiteralLike(answer);
  const says = saidOf(node);
  const as = (answers: Bearing['answers']): Bearing => ({ name: within + name, takes, answers, ofState, isText, says });
  if (shape !== 'full') return as(shape === 'empty' ? 'nothing' : 'a constant');
  if (answer === undefined) return null;
  const rest = statements.slice(0, -1);
  if (!rest.every(isIdle)) return null;
  if (ts.isIdentifier(answer) && answer.text === node.parameters[0]?.name.getText()) return as('the same');
  return rest.length > 0 && isSuccess(answer) ? as('a constant') : null;
}

/** What a function in Python takes, by its head: without what it is called on, and what stands for itself. */
export const pythonTakes = (head: string, isMethod: boolean): string[] => {
  const given = /\(([\s\S]*)\)/.exec(head)?.[1] ?? '';
  const names = given
    .replace(/\[[^[\]]*(?:\[[^[\]]*\][^[\]]*)*\]/g, '')
    .split(',')
    .map((each) =>
      each
        .trim()
        .replace(/[:=][\s\S]*$/, '')
        .trim(),
    )
    .filter((each) => each !== '' && each !== '*' && each !== '/');
  return isMethod && /^(?:self|cls)$/.test(names[0] ?? '') ? names.slice(1) : names;
};
