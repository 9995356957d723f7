import picomatch from 'picomatch';
import ts from 'typescript';
import type { Finding } from '@muster/contracts';
import { commentsIn } from '../source/comments.ts';
import { freshHits, mostSourceBytes, type Hit } from '../source/fresh.ts';
import { parseScript } from '../source/functions.ts';
import { isProductSource, isPython, isScript, isTestFile } from '../source/paths.ts';
import { pythonLines } from '../source/python.ts';
import { announcedInVain } from './announced.ts';
import { findingOf, outcome, type Check } from './check.ts';
import { knownTables } from './known-tables.ts';
import { altersBehaviour, isSnapshotFile, snapshotsOf, testOfSnapshot, Vouchers } from './rewritten.ts';

/** Steps whose failure changes nothing for anybody: taking away, closing, letting go. */
const harmlessSteps =
  /\b(?:unlink|rm|rmdir|rmSync|unlinkSync|close|destroy|kill|abort|end|dispose|cleanup|removeItem|disconnect|release|terminate|unref|removeListener|stop|mkdir|mkdirSync|access|stat|localStorage|sessionStorage)\w*\(/;
/** Steps that somebody waits for: asking a database, keeping, sending, paying. */
const waitedFor =
  /\.(?:query|execute|insert|update|upsert|save|store|persist|commit|send|sendMail|publish|post|put|patch|pay|charge|refund|transfer|upload)\w*\(|(?<![\w.])(?:writeFile|appendFile|send\w*|publish\w*|save\w*|upload\w*)\(/;
/** An object that says that all went well. */
const saysSuccess = /\b(?:ok|success|succeeded|sent|saved|done|delivered|paid)\s*:\s*true\b/;
/** One that says it of the very step. */
const saysOfStep: readonly (readonly [answer: RegExp, step: RegExp])[] = [
  [/\b(?:sent|delivered)\s*:\s*true\b/, /send|publish|deliver|post\w*\(/i],
  [/\bsaved\s*:\s*true\b/, /save|store|persist|insert|update|upsert|commit|writeFile|appendFile|upload/i],
  [/\bpaid\s*:\s*true\b/, /pay|charge|transfer/i],
];
/** Where only tests and their helpers lie. */
const forTests = /(?:^|\/)(?:test-?utils?|testing|e2e|cypress|spec)\//i;
const logging = /^(?:console\.\w+|(?:this\.|self\.)?_?(?:log|logger|logging)(?:\.\w+)*|print|warn|debug)\(/;
/** What a runner of tests leaves in the environment of what it runs; nobody else sets it. */
const leftByRunners =
  /^(?:JEST_WORKER_ID|VITEST|VITEST_WORKER_ID|VITEST_POOL_ID|MOCHA_WORKER_ID|NODE_TEST_CONTEXT|PYTEST_CURRENT_TEST)$/;
const testing =
  /process\.env\.(?:NODE_ENV|JEST_WORKER_ID|VITEST\w*|MOCHA\w*|NODE_TEST_CONTEXT|TEST)\b|process\.env\[['"](?:NODE_ENV|JEST_WORKER_ID|VITEST|NODE_TEST_CONTEXT)['"]\]|import\.meta\.(?:vitest|env\.(?:TEST|MODE))|typeof\s+(?:jest|vi|describe|it)\b|\.stack\b[^\n]{0,80}(?:includes|indexOf|match|test)\(\s*[/'"`][^'"`/\n]{0,40}(?:\btest|\bspec|jest|vitest|mocha)/;

/** It is what a function answers, alone or together with other questions. */
function isAnswer(node: ts.Expression): boolean {
  let at: ts.Node = node.parent;
  while (
    ts.isParenthesizedExpression(at) ||
    (ts.isBinaryExpression(at) && at.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken)
  )
    at = at.parent;
  return ts.isReturnStatement(at) || ts.isArrowFunction(at);
}

function scriptClaims(path: string, text: string): Hit[] {
  const file = parseScript(path, text);
  const hits: Hit[] = [];
  const hit = (node: ts.Node, rule: string, level: Hit['level'], message: string, remedy: string): void => {
    const key = node.getText(file).replace(/\s+/g, ' ').slice(0, 300);
    hits.push({
      rule: `claims.${rule}`,
      level,
      message,
      line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
      remedy,
      key,
    });
  };
  /** There is a remark in it, and not only what looks like one within a text. */
  const explained = (node: ts.Node, from = node.getStart(file)): boolean => {
    const children = node.getChildren(file);
    return children.length > 0
      ? children.some((child) => explained(child, from))
      : /\/[/*]/.test(text.slice(Math.max(from, node.getFullStart()), node.getStart(file)));
  };
  /** Whether anything else is waited for in the function around a step. */
  const waitsElsewhere = (step: ts.Node): boolean => {
    let around = step;
    while (!ts.isFunctionLike(around) && !ts.isSourceFile(around)) around = around.parent;
    const waits = (node: ts.Node): boolean =>
      node !== step &&
      (ts.isAwaitExpression(node) ||
        (ts.isForOfStatement(node) && node.awaitModifier !== undefined) ||
        (ts.forEachChild(node, (child) => (ts.isFunctionLike(child) ? undefined : waits(child) || undefined)) ?? false)); // prettier-ignore
    return waits(around);
  };
  /** Asked as a question, yes or no: and not taken as a number or a part of a name. */
  const isAsked = (node: ts.Node): boolean => {
    for (let at = node; !ts.isStatement(at.parent) || ts.isIfStatement(at.parent); at = at.parent) {
      const { parent } = at;
      if (ts.isIfStatement(parent)) return parent.expression === at;
      if (ts.isConditionalExpression(parent) && parent.condition === at) return true;
      if (ts.isPrefixUnaryExpression(parent) && parent.operator === ts.SyntaxKind.ExclamationToken) return true;
      if (ts.isBinaryExpression(parent) && /^(?:[!=]==?|in|[<>]=?)$/.test(parent.operatorToken.getText(file))) return true; // prettier-ignore
      if (ts.isCallExpression(parent) && parent.expression.getText(file) === 'Boolean') return true;
      if (ts.isTemplateSpan(parent) || ts.isFunctionLike(parent) || ts.isSourceFile(parent)) return false;
    }
    return false;
  };
  const questions = new Map<string, boolean>();
  /** Asked where it stands, or under the name that it is kept by. */
  const isQuestion = (node: ts.Node): boolean => {
    if (isAsked(node)) return true;
    let at = node;
    while (ts.isExpression(at.parent) && !ts.isFunctionLike(at.parent) && !(ts.isBinaryExpression(at.parent) && /^[-+*/%]$/.test(at.parent.operatorToken.getText(file)))) at = at.parent; // prettier-ignore
    if (!ts.isVariableDeclaration(at.parent) || !ts.isIdentifier(at.parent.name)) return false;
    const { text: name } = at.parent.name;
    const known = questions.get(name);
    if (known !== undefined) return known;
    const find = (each: ts.Node): boolean =>
      (ts.isIdentifier(each) && each.text === name && !ts.isVariableDeclaration(each.parent) && isAsked(each)) ||
      (ts.forEachChild(each, (child) => find(child) || undefined) ?? false);
    const asked = find(file);
    questions.set(name, asked);
    return asked;
  };
  /** Leaves a `finally`, and takes what was thrown with it. */
  const jumpIn = (node: ts.Node, loops: boolean): ts.Node | undefined =>
    ts.isFunctionLike(node) || ts.isClassLike(node)
      ? undefined
      : ts.isReturnStatement(node) || (!loops && (ts.isContinueStatement(node) || ts.isBreakStatement(node)))
        ? node
        : ts.forEachChild(node, (child) => jumpIn(child, loops || ts.isIterationStatement(node, false) || ts.isSwitchStatement(node))); // prettier-ignore
  /** What happens right behind a statement that went wrong or not. */
  const behind = (node: ts.Statement): ts.Statement | undefined => {
    if (!ts.isBlock(node.parent)) return undefined;
    const { statements } = node.parent;
    return statements[statements.indexOf(node) + 1];
  };
  const onlyLogs = (block: ts.Block): boolean =>
    block.statements.length > 0 &&
    block.statements.every((each) => ts.isExpressionStatement(each) && logging.test(each.expression.getText(file)));
  const isHandler = (node: ts.Node | undefined): node is ts.ArrowFunction | ts.FunctionExpression =>
    node !== undefined && (ts.isArrowFunction(node) || ts.isFunctionExpression(node));
  const isEmptyHandler = (handler: ts.Node | undefined): boolean =>
    isHandler(handler) && ts.isBlock(handler.body) && handler.body.statements.length === 0 && !explained(handler.body);
  /** `.catch(() => [])` behind a question to a database: nothing was found, it says, and nothing was asked. */
  const answersForFailure = (handler: ts.Node | undefined): boolean =>
    isHandler(handler) &&
    !ts.isBlock(handler.body) &&
    /^(?:\(?\s*(?:\[\s*\]|\{\s*\})\s*\)?|true|0|''|"")$/.test(handler.body.getText(file)) &&
    // Beside the handler, not within the question that it is for.
    !explained(handler.parent, handler.getFullStart());
  const isAwaited = (node: ts.Node): boolean =>
    ts.isAwaitExpression(node.parent) || ts.isReturnStatement(node.parent) || ts.isVariableDeclaration(node.parent);
  const visit = (node: ts.Node): void => {
    if (ts.isTryStatement(node) && node.finallyBlock !== undefined) {
      const jump = jumpIn(node.finallyBlock, false);
      if (jump !== undefined)
        hit(
          jump,
          'swallowed_error',
          'error',
          'Whatever is thrown ends here: a jump out of finally takes it along.',
          'Let finally only put in order what has to be.',
        );
    }
    if (ts.isTryStatement(node) && node.catchClause !== undefined) {
      const next = behind(node);
      const says = next !== undefined && ts.isReturnStatement(next) ? next.expression : undefined;
      if (
        onlyLogs(node.catchClause.block) &&
        waitedFor.test(node.tryBlock.getText(file)) &&
        says !== undefined &&
        !explained(node.catchClause.block) &&
        // Beside a step that counts, one that only should be done may fail.
        (saysOfStep.some(
          ([answer, step]) => answer.test(says.getText(file)) && step.test(node.tryBlock.getText(file)),
        ) ||
          ((says.kind === ts.SyntaxKind.TrueKeyword || saysSuccess.test(says.getText(file))) &&
            !waitsElsewhere(node.tryBlock)))
      )
        hit(
          node.catchClause,
          'swallowed_error',
          'error',
          'When this fails, it is written down, and the answer is that all went well.',
          'Answer what happened.',
        );

      const { block } = node.catchClause;
      const nothing = block.statements.length === 0;
      if (nothing && !explained(block) && !harmlessSteps.test(node.tryBlock.getText(file)))
        hit(
          node.catchClause,
          'swallowed_error',
          'error',
          'An error ends here, and nobody hears of it.',
          'Handle it, let it go on, or say why it does not matter.',
        );
      // Whatever goes wrong, the answer is that all is well.
      const only = block.statements.length === 1 ? block.statements[0] : undefined;
      if (
        only !== undefined &&
        ts.isReturnStatement(only) &&
        only.expression?.kind === ts.SyntaxKind.TrueKeyword &&
        !explained(block)
      )
        hit(
          node.catchClause,
          'swallowed_error',
          'error',
          'When this fails, it answers that it did not.',
          'Answer what happened.',
        );
    }
    if (
      ts.isCallExpression(node) &&
      ts.isPropertyAccessExpression(node.expression) &&
      /^(?:catch|then)$/.test(node.expression.name.text)
    ) {
      const { name, expression } = node.expression;
      const catches = name.text === 'catch';
      const handler = node.arguments[catches ? 0 : 1];
      const empty = isEmptyHandler(handler);
      const step = expression.getText(file);
      if (
        waitedFor.test(step) &&
        ((isAwaited(node) && empty) || ((catches || isAwaited(node)) && answersForFailure(handler)))
      )
        hit(
          name,
          'swallowed_error',
          'error',
          'When this fails, whoever waits for it is answered as if it had not.',
          'Let it fail, or answer what happened.',
        );
      else if (catches && empty && !harmlessSteps.test(step))
        hit(
          name,
          'swallowed_error',
          'warning',
          'A rejection ends here, and nobody hears of it.',
          'Handle it, or say why it does not matter.',
        );
    }
    if (
      (ts.isIdentifier(node) || ts.isStringLiteral(node)) &&
      leftByRunners.test(node.text) &&
      /\benv\b/.test(node.parent.getText(file).slice(0, 200)) &&
      // By the number of a worker a test gets a database or a port of its own.
      (!/(?:WORKER|POOL)_ID$/.test(node.text) || isQuestion(node))
    )
      hit(
        node.parent,
        'behaves_for_tests',
        'error',
        'This asks whether it is tested, so that the tests say nothing about what people get.',
        'Let tests pass in what has to be different.',
      );
    else if (
      (ts.isIfStatement(node) || ts.isConditionalExpression(node)) &&
      testing.test((ts.isIfStatement(node) ? node.expression : node.condition).getText(file))
    ) {
      const condition = (ts.isIfStatement(node) ? node.expression : node.condition).getText(file);
      if ([...condition.matchAll(/\w+/g)].some(([word]) => leftByRunners.test(word)))
        return ts.forEachChild(node, visit); // told above
      if (!/NODE_ENV/.test(condition) || /['"`]test/.test(condition))
        hit(
          node,
          'behaves_for_tests',
          'error',
          'This does something else when it is tested, so that the tests say nothing about what people get.',
          'Let tests pass in what has to be different.',
        );
    }
    if (
      ts.isBinaryExpression(node) &&
      node.operatorToken.kind === ts.SyntaxKind.GreaterThanEqualsToken &&
      ts.isPropertyAccessExpression(node.left) &&
      /^(?:length|size)$/.test(node.left.name.text) &&
      ts.isNumericLiteral(node.right) &&
      Number(node.right.text) === 0 &&
      isAnswer(node)
    )
      hit(node, 'always_true', 'error', 'This holds whatever there is: nothing is shorter than nothing.', 'Ask for what is meant, or leave the question out.'); // prettier-ignore
    ts.forEachChild(node, visit);
  };
  visit(file);
  // Support may be that of customers.
  return hits.flatMap((each) =>
    each.rule !== 'claims.behaves_for_tests'
      ? [each]
      : forTests.test(path)
        ? []
        : [{ ...each, level: /(?:^|\/)support\//.test(path) ? 'warning' : each.level }],
  );
}

/** Django's settings, where what is only for development is switched off for tests. */
const isSettings = (path: string): boolean => /(?:^|\/)settings(?:\/[^/]*|[\w-]*)\.py$/.test(path);

function pythonClaims(path: string, source: string): Hit[] {
  const lines = pythonLines(source);
  const hits: Hit[] = [];
  for (const [index, each] of lines.entries()) {
    const broad = /^except(?:\s*:|\s+\(?(?:Exception|BaseException)\b[^:]*:)\s*(pass|\.\.\.|return True|return)?$/.exec(
      each.text,
    );
    if (broad !== null) {
      const next = lines.slice(index + 1).find((line) => line.indent >= 0);
      const remarked = each.comment !== '' || lines[index + 1]?.comment !== '';
      const body = broad[1] ?? next?.text ?? '';
      if (/^(?:pass|\.\.\.|continue|return True)$/.test(body) && !remarked)
        hits.push({
          rule: 'claims.swallowed_error',
          level: 'error',
          message: 'Any error ends here, and nobody hears of it.',
          line: each.line,
          remedy: 'Catch the one that is expected, or handle it.',
          key: `${each.text} ${body} ${lines[index - 1]?.text ?? ''}`,
        });
    }
    // What not even an interruption ends is answered like an answer.
    const any = /^except(?:\s*:|\s+BaseException\b[^:]*:)$/.test(each.text);
    const after = any ? lines.slice(index + 1).find((line) => line.indent >= 0) : undefined;
    if (after !== undefined && /^return\s+(?:None|False|True|0|\[\]|\{\}|""|''|\(\))$/.test(after.text))
      hits.push({
        rule: 'claims.swallowed_error',
        level: 'error',
        message: 'Any error ends here, even one that is to end the program, and an answer is made up.',
        line: each.line,
        remedy: 'Catch the one that is expected.',
        key: `${each.text} ${after.text} ${lines[index - 1]?.text ?? ''}`,
      });
    if (
      /^with\s+(?:contextlib\.)?suppress\(\s*(?:Base)?Exception\s*\)/.test(each.text) &&
      each.comment === '' &&
      lines[index - 1]?.text !== '' &&
      !harmlessSteps.test(lines[index + 1]?.text ?? '')
    )
      hits.push({
        rule: 'claims.swallowed_error',
        level: 'error',
        message: 'Any error ends here, and nobody hears of it.',
        line: each.line,
        remedy: 'Suppress the one that is expected, or handle it.',
        key: `${each.text} ${lines[index + 1]?.text ?? ''}`,
      });
    if (
      /\bPYTEST_CURRENT_TEST\b|["']pytest["']\s+(?:not\s+)?in\s+(?:sys\.)?modules|modules\.get\(\s*["']pytest["']|["']_?pytest["'][^\n]{0,80}\bsys\.modules/.test(each.text) && // prettier-ignore
      !/^["']/.test(each.text) &&
      !forTests.test(path)
    )
      hits.push({
        rule: 'claims.behaves_for_tests',
        level: isSettings(path) ? 'warning' : 'error',
        message: 'This does something else when it is tested.',
        line: each.line,
        remedy: 'Let tests pass in what has to be different.',
        key: each.text,
      });
  }
  return hits;
}

/** Work that says of itself that it is not done: in the words in which those say so who were to do it. */
const confesses =
  /\bin (?:a |an )?(?:real|actual|production)[- ](?:world )?(?:implementation|app\w*|system|version|code|service|scenario)\b.{0,60}\b(?:would|(?:this|it|we) (?:will|should))\b|\bin (?:a |an )?(?:real|actual)[- ](?:world )?(?:implementation|app\w*|system|version|code|service|scenario)\b.{0,60}\b(?:you|we)(?: will| should|['’]d)\b|\b(?:real|actual|proper|full) (?:implementation|logic|version) (?:would|will|goes here|should|to (?:follow|come))\b|\bsimulat(?:e|es|ed|ing) (?:(?:the|a|an|some) )?(?:network|latency|delay|api|server|database|async|response|request|sending|processing|success|call)\b|(?<!\b(?:no|without)(?: an?)? )\b(?:placeholder|stub(?:bed)?|mock(?:ed)?|dummy|fake) (?:implementation|response|result|for now)\b|\bhard-?coded (?:for now|for the tests?|until)\b|\b(?:comes?|follows?|(?:will|to) (?:come|follow|be (?:added|done))|is (?:added|done|handled)) (?:with|in) (?:the |a |an )?(?:next|later|follow-?up|future|separate|another|subsequent) (?:change|commit|pr|pull request|patch)s?\b|\bfor now,? (?:just |we |simply |always )*(?:return(?! (?:early|if|when|unless|on|as soon)\b)|pretend|assume success|answer)\b|\b(?:todo|fixme)\b.{0,80}\b(?:zeros?|nulls?|none|nothing|empty|constants?|hard-?coded|stubs?|dummy|placeholder|fake|true|false)(?: (?:values?|lists?|results?|answers?|data))? for now\b|\b(?:todo|fixme)\b\W{0,3}(?:implement|write) (?:this|it|me|the (?:real|actual|rest|body|logic))\b|\bpretend(?:s|ing)? (?:that )?(?:it|this|we|to) (?:work|succeed|was sent|sent|ha[sd])/i;

/** Less than what might be, which may be all that was asked for. */
const hesitates = /\b(?:todo|fixme)\b.{0,80}\bfor now\b/i;

function confessions(path: string, text: string): Hit[] {
  if (!confesses.test(text) && !hesitates.test(text)) return [];
  return [...commentsIn(path, text)].flatMap(([line, comment]): Hit[] =>
    confesses.test(comment) || hesitates.test(comment)
      ? [
          {
            rule: 'claims.unfinished',
            level: confesses.test(comment) ? 'error' : 'warning',
            message: `This says of itself that it is not done: “${comment.trim().slice(0, 120)}”.`,
            line,
            remedy: 'Do what the comment leaves to others, or leave this out.',
            key: comment.trim().slice(0, 300),
          },
        ]
      : [],
  );
}

/** `total` of `shop.total`, and of `functions['total']!`. */
const nameOfCalled = (callee: string): string =>
  /\[\s*['"`](\w+)['"`]\s*\]!?$/.exec(callee)?.[1] ?? callee.split('.').at(-1) ?? '';

interface Expectation {
  given: string;
  expected: string;
}
/** `expect(f(given)).toBe(expected)`, `assert.equal(f(given), expected)`, `assert f(given) == expected`, where both are written out. */
function expectationsIn(path: string, text: string): Map<string, Expectation[]> {
  const found = new Map<string, Expectation[]>();
  const keep = (name: string, given: string, expected: string): void => {
    found.set(name, [...(found.get(name) ?? []), { given, expected }]);
  };
  if (isPython(path)) {
    for (const { text: line } of pythonLines(text)) {
      const match = /^assert\s+(?:\w+\.)*(\w+)\(([^()]*)\)\s*==\s*(.+)$/.exec(line);
      if (match !== null) keep(match[1]!, match[2]!.trim(), match[3]!.trim());
    }
    return found;
  }
  const file = parseScript(path, text);
  const literal = (node: ts.Node | undefined): string | null =>
    node === undefined || /[\w$]\s*\(|=>/.test(node.getText(file)) ? null : node.getText(file).replace(/\s+/g, '');
  const called = (node: ts.Node | undefined): { name: string; given: string } | null => {
    const call = node !== undefined && ts.isAwaitExpression(node) ? node.expression : node;
    if (call === undefined || !ts.isCallExpression(call)) return null;
    const given = call.arguments.map((each) => literal(each));
    return given.includes(null) ? null : { name: nameOfCalled(call.expression.getText(file)), given: given.join(',') };
  };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const on = node.expression.expression;
      const about =
        ts.isCallExpression(on) && /^expect$/.test(on.expression.getText(file))
          ? called(on.arguments[0])
          : /assert/.test(on.getText(file))
            ? called(node.arguments[0])
            : null;
      const expected = literal(ts.isCallExpression(on) ? node.arguments[0] : node.arguments[1]);
      if (about !== null && expected !== null) keep(about.name, about.given, expected);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** A name of something (`red`, `GET`): answers for such are looked up in honest code. Numbers and sentences are computed. */
const isName = (text: string): boolean => /^['"`][\w./-]*['"`]$/.test(text);
/** Where honest code begins, too: nothing, one, yes and no. */
const isOrdinary = (part: string): boolean =>
  /^(?:-?[01](?:\.0)?|''|true|false|null|undefined|None|True|False)$/i.test(part);
const plain = (text: string): string => text.replace(/\s+/g, '').replace(/["`]/g, "'");

const mostExamples = 1000;
/** Functions of a file that answer the very examples of the tests, one by one, and hardly anything else. */
function answersByHeart(path: string, text: string, known: ReadonlyMap<string, Expectation[]>): Hit[] {
  const hits: Hit[] = [];
  const everywhere = [...known.values()].flat().slice(0, mostExamples);
  const judge = (
    name: string,
    line: number,
    branches: { test: string; answer: string }[],
    rest: number,
    key: string,
    more: { recursive: boolean; lookup: boolean },
  ): void => {
    const own = known.get(name) ?? [];
    // Whom the tests ask may ask another in its turn, which then names all of two examples.
    if (own.length === 0 && branches.filter(({ test }) => /&&|\band\b/.test(test)).length < 2) return;
    const examples = own.length > 0 ? own : everywhere;
    if (examples.length === 0) return;
    const matched = branches.filter(({ test, answer }) =>
      examples.some(
        ({ given, expected }) =>
          plain(expected) === plain(answer) &&
          given !== '' &&
          plain(given)
            .split(',')
            .some((part) => part !== '' && plain(test).includes(part)) &&
          !(isName(given) && /^['"`]/.test(expected)),
      ),
    );
    // One condition names all that one example gives, and answers what that wants.
    const whole = matched.filter(({ test, answer }) =>
      examples.some(({ given, expected }) => {
        const parts = plain(given).split(',');
        return (
          plain(expected) === plain(answer) &&
          parts.filter((part) => part !== '' && !isOrdinary(part)).length >= 2 &&
          parts.every((part) => plain(test).includes(part)) &&
          !parts.every(isName)
        );
      }),
    );
    const isWhole = whole.length > 0;
    if (own.length === 0 && whole.length < 2) return;
    const distinct = new Set(examples.map((each) => plain(each.expected))).size;
    const answered = new Set(matched.map((each) => plain(each.answer))).size;
    if (matched.length === 0 || rest > 1 || (matched.length < 2 && answered < distinct && !isWhole)) return;
    // A first answer or two, and the rest worked out: recursion begins so, and words for none and one. The tests show the rest as well.
    const worked = examples.filter(({ expected }) => !branches.some(({ answer }) => plain(answer) === plain(expected)));
    if (!isWhole && rest > 0 && worked.length > 0 && (matched.length <= 2 || more.recursive)) return;
    // What a number is called is looked up, and nothing could work it out.
    if (
      more.lookup &&
      matched.every(({ test, answer }) => /^\d+$/.test(test) && /^(['"`]).*[A-Za-z].*\1$/.test(answer))
    )
      return;
    hits.push({
      rule: 'claims.answers_by_heart',
      level: 'error',
      message: `${name} knows the examples of its tests (${matched
        .slice(0, 3)
        .map((each) => `${each.test.slice(0, 40)} → ${each.answer.slice(0, 40)}`)
        .join(', ')}) instead of working them out.`,
      line,
      remedy: 'Work the answer out for any input; test with inputs that the code does not name.',
      key,
    });
  };
  if (isPython(path)) {
    const lines = pythonLines(text).filter((each) => each.indent >= 0);
    for (const [index, head] of lines.entries()) {
      const name = /^(?:async\s+)?def\s+(\w+)/.exec(head.text)?.[1];
      if (name === undefined) continue;
      let end = index + 1;
      while (end < lines.length && lines[end]!.indent > head.indent) end++;
      const body = lines.slice(index + 1, end).filter((each) => !/^["']/.test(each.text));
      const branches = body.flatMap((each, at) => {
        const test = /^(?:el)?if\s+(.+==.+):\s*(?:return\s+(.+))?$/.exec(each.text.length > 1000 ? '' : each.text);
        const answer = test?.[2] ?? /^return\s+(.+)$/.exec(body[at + 1]?.text ?? '')?.[1];
        return test === null || answer === undefined ? [] : [{ test: test[1]!, answer }];
      });
      const worked = (text: string): boolean => /^return\b.*[(+*/-]/.test(text);
      const others = body.filter(
        (each, at) =>
          !/^(?:el)?if\b|^return\b|^else:|^raise\b/.test(each.text) ||
          (worked(each.text) && !/^(?:el)?if\b/.test(body[at - 1]?.text ?? '')),
      ).length;
      const recursive = body.some((each) => new RegExp(`\\b${name}\\(`).test(each.text));
      judge(name, head.line, branches, others, `${name} ${branches.length}`, { recursive, lookup: false });
    }
    return hits;
  }
  const file = parseScript(path, text);
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const holder = node.parent;
      const name =
        node.name?.getText(file) ??
        (ts.isVariableDeclaration(holder) || ts.isPropertyAssignment(holder) ? holder.name.getText(file) : null);
      const branches: { test: string; answer: string }[] = [];
      let rest = 0;
      const answerOf = (each: ts.Node | undefined): string | null => {
        const last = each !== undefined && ts.isBlock(each) ? each.statements[0] : each;
        return last !== undefined &&
          ts.isReturnStatement(last) &&
          last.expression !== undefined &&
          !/\(|=>/.test(last.expression.getText(file))
          ? last.expression.getText(file)
          : null;
      };
      const read = (statement: ts.Node): void => {
        if (ts.isIfStatement(statement) && /===?|includes\(|equal/i.test(statement.expression.getText(file))) {
          const answer = answerOf(statement.thenStatement);
          if (answer !== null) branches.push({ test: statement.expression.getText(file), answer });
          else rest++;
          if (statement.elseStatement !== undefined) read(statement.elseStatement);
        } else if (ts.isSwitchStatement(statement)) {
          for (const clause of statement.caseBlock.clauses) {
            const answer = answerOf(clause.statements[0]);
            if (ts.isCaseClause(clause) && answer !== null)
              branches.push({ test: clause.expression.getText(file), answer });
          }
        } else if (ts.isBlock(statement)) statement.statements.forEach(read);
        else if (
          !ts.isThrowStatement(statement) &&
          !(
            ts.isReturnStatement(statement) &&
            (statement.expression === undefined || !/[(+*/]/.test(statement.expression.getText(file)))
          )
        )
          rest++;
      };
      if (name !== null) {
        if (ts.isBlock(node.body)) node.body.statements.forEach(read);
        else {
          let at: ts.Expression = node.body;
          while (ts.isConditionalExpression(at)) {
            branches.push({ test: at.condition.getText(file), answer: at.whenTrue.getText(file) });
            at = at.whenFalse;
          }
        }
        judge(
          name,
          file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
          branches,
          rest,
          `${name} ${branches.length}`,
          {
            recursive: new RegExp(`\\b${name.replace(/[^\w]/g, '.')}\\(`).test(node.body.getText(file)),
            lookup: /\bswitch\s*\(/.test(node.body.getText(file)),
          },
        );
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return hits;
}

/** Tables of all that the tests ask, and of nothing else. */
function tablesByHeart(path: string, text: string, known: ReadonlyMap<string, Expectation[]>): Hit[] {
  return knownTables(path, text).flatMap(({ name, line, rows }): Hit[] => {
    const examples = known.get(name) ?? [];
    const asked = rows.filter(({ key, answer }) =>
      examples.some(
        ({ given, expected }) =>
          plain(expected) === plain(answer) &&
          plain(given)
            .split(',')
            .map((part) => part.replace(/^'|'$/g, ''))
            .every((part) => part !== '' && plain(key).includes(part)),
      ),
    );
    if (asked.length < 2 || asked.length < rows.length) return [];
    return [
      {
        rule: 'claims.answers_by_heart',
        level: 'error',
        message: `All that ${name} can answer are the ${asked.length} examples of its tests, which it looks up in a table.`,
        line,
        remedy: 'Work the answer out for any input; test with inputs that the code does not name.',
        key: `${name} table`,
      },
    ];
  });
}

/** Tests whose own doubles answer every question that they ask. */
function testsOfDoubles(path: string, text: string): Hit[] {
  if (isPython(path)) return [];
  const file = parseScript(path, text);
  const hits: Hit[] = [];
  const visit = (node: ts.Node): void => {
    if (
      ts.isCallExpression(node) &&
      /^(?:test|it)(?:\.\w+)*$/.test(node.expression.getText(file)) &&
      node.arguments[0] !== undefined
    ) {
      const body = [...node.arguments]
        .reverse()
        .find((each) => ts.isArrowFunction(each) || ts.isFunctionExpression(each));
      if (body !== undefined) {
        const inside = body.getText(file);
        const doubles = new Set(
          [...inside.matchAll(/\b(?:const|let)\s+(\w+)\s*=\s*(?:jest|vi|sinon|mock|t\.mock)\.(?:fn|stub|mock)\b/g)].map(
            (match) => match[1]!,
          ),
        );
        const subjects = [...inside.matchAll(/\b(?:expect|assert(?:\.\w+)?)\(\s*(?:await\s+)?(\w+)/g)].map(
          (match) => match[1]!,
        );
        const results = new Map(
          [...inside.matchAll(/\b(?:const|let)\s+(\w+)\s*=\s*(?:await\s+)?(\w+)\(/g)].map((match) => [
            match[1]!,
            match[2]!,
          ]),
        );
        const askedOnlyDoubles =
          subjects.length > 0 && subjects.every((each) => doubles.has(each) || doubles.has(results.get(each) ?? ''));
        // A double that is handed to something is watched; one that only the test itself calls is not.
        const handedOn = [...doubles].some((each) =>
          new RegExp(`[(,{:]\\s*${each}\\s*[,)}]`).test(
            inside.replace(new RegExp(`expect\\(\\s*${each}\\s*\\)`, 'g'), ''),
          ),
        );
        if (doubles.size > 0 && askedOnlyDoubles && !handedOn)
          hits.push({
            rule: 'claims.tests_the_double',
            level: 'error',
            message: `The test ${node.arguments[0].getText(file)} asks nothing but its own stand-in.`,
            line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
            remedy: 'Call the code itself, and use stand-ins only for what it talks to.',
            key: node.arguments[0].getText(file),
          });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return hits;
}

const nonsense = /\b(?:undefined|NaN|\[object Object\]|Infinity)\b/g;
const generatedFolder = /(^|\/)(?:dist|build|vendor|third_party|generated|out|\.next|coverage)\//;
/** What makes work look done that is not: errors nobody hears of, code that knows its tests, tests that ask themselves, bulk nobody reads. */
export const claimsCheck: Check = {
  name: 'claims',
  category: 'honesty',
  languages: ['*'],
  needs: [],
  purposes: ['admission', 'landing'],
  async run(context) {
    const { against, candidate, changes, approvedBy } = context;
    const findings: Finding[] = [];
    const tests = changes.filter(({ path, status }) => status !== 'removed' && isTestFile(path));
    const expectations = new Map<string, Expectation[]>();
    for (const path of new Set([
      ...tests.map((each) => each.path),
      ...[...candidate.files.keys()].filter((each) => isTestFile(each)).slice(0, 500),
    ])) {
      const text = candidate.text(path);
      if (text === null || text.length > mostSourceBytes || !(isScript(path) || isPython(path))) continue;
      for (const [name, list] of expectationsIn(path, text))
        expectations.set(name, [...(expectations.get(name) ?? []), ...list]);
    }
    const isCode = (path: string): boolean => isProductSource(path);
    const found = [
      ...(await freshHits(changes, against, candidate, isCode, (path, text) => [
        ...(isPython(path) ? pythonClaims(path, text) : scriptClaims(path, text)),
        ...answersByHeart(path, text, expectations),
        ...tablesByHeart(path, text, expectations),
        ...confessions(path, text),
      ])),
      ...(await freshHits(changes, against, candidate, (path) => isTestFile(path) && isScript(path), testsOfDoubles)),
    ];
    for (const { path, line, rule, level, message, remedy, key } of found)
      findings.push(findingOf({ check: 'claims', rule, level, message, path, line, remedy, key }));

    findings.push(...announcedInVain(context));
    // The branch says so, and how they are made: whoever hands one in cannot.
    const declared = context.policy.generated.flatMap(({ files }) => files);
    const isDeclared = declared.length === 0 ? () => false : picomatch(declared, { dot: true });
    const product = altersBehaviour(context);
    let vouchers: Vouchers | undefined;
    for (const { path, status, addedLines } of changes) {
      if (status === 'changed' && isSnapshotFile(path)) {
        const before = snapshotsOf(against, path);
        for (const [name, text] of snapshotsOf(candidate, path)) {
          const was = before.get(name);
          if (was === undefined || was === text) continue;
          const worse =
            (text.match(nonsense)?.length ?? 0) > (was.match(nonsense)?.length ?? 0) ||
            (text.trim() === '' && was.trim() !== '');
          const missing = product
            ? await (vouchers ??= new Vouchers(context)).missing({
                name: testOfSnapshot(name),
                is: '',
                texts: { was, is: text },
              })
            : null;
          const why = worse ? 'which looks broken' : missing;
          const approved = approvedBy !== null && product ? ` Let through by ${approvedBy}.` : '';
          findings.push(
            findingOf({
              check: 'claims',
              rule: 'claims.snapshot_rewritten',
              level: why === null ? 'warning' : 'error',
              message: `What “${name}” expects was replaced by what the code answers now${why === null ? '' : `; ${why}`}.${approved}`,
              path,
              remedy:
                'Put the old snapshot back and correct the code; where the new answer is meant, write a test that says so.',
              key: name,
            }),
          );
        }
      }
      if (status !== 'removed' && (generatedFolder.test(path) || /\.min\.(?:js|css)$/.test(path)) && against !== null) {
        const settled =
          isDeclared(path) ||
          [...against.files.keys()].some(
            (each) => each.startsWith(`${path.split('/')[0]}/`) && generatedFolder.test(each),
          );
        const minified = status === 'added' && /\.min\./.test(path) && (candidate.text(path)?.length ?? 0) > 5000;
        if (!settled && (addedLines.size > 200 || (candidate.text(path)?.length ?? 0) > 50_000 || minified))
          findings.push(
            findingOf({
              check: 'claims',
              rule: 'claims.bulk',
              level: 'error',
              message: `${path} was made by a tool or by others; it hides what the change does, and goes stale.`,
              path,
              remedy: 'Leave it out; have the build make it, or name the package that it comes from.',
              key: path,
            }),
          );
      } else if (status !== 'removed' && isProductSource(path)) {
        const text = candidate.text(path) ?? '';
        const longest = text
          .split('\n')
          .reduce((most, line, index) => (addedLines.has(index + 1) ? Math.max(most, line.length) : most), 0);
        if (longest > 5000)
          findings.push(
            findingOf({
              check: 'claims',
              rule: 'claims.bulk',
              level: 'error',
              message: `${path} has a line of ${longest} characters, which nobody reads.`,
              path,
              remedy: 'Hand in the source that it was made from.',
              key: path,
            }),
          );
      }
    }
    const failed = findings.some((each) => each.level === 'error');
    return outcome(
      failed ? 'failed' : 'passed',
      findings.length === 0 ? 'nothing pretends' : `${findings.length} things look done that are not`,
      findings,
      { found: findings.length },
    );
  },
};
