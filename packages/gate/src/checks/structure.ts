import type { Finding } from '@muster/contracts';
import picomatch from 'picomatch';
import ts from 'typescript';
import type { FileChange } from '../source/changes.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { functionsIn, parseScript } from '../source/functions.ts';
import { decidedConditions } from '../source/decided.ts';
import { isProductSource, isPython, isScript } from '../source/paths.ts';
import { pythonDefinitions, pythonLines, type PythonLine } from '../source/python.ts';
import { fileOf, importsIn } from '../source/reached.ts';
import type { SourceTree } from '../source/tree.ts';
import { unitsOf } from '../source/units.ts';
import { breathe } from '../breath.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';

interface Measured {
  name: string;
  line: number;
  paths: number;
  /** So many branches and loops stand within each other where it is deepest. */
  depth: number;
}
/** Of the functions of well-kept projects fewer than one in two thousand goes as deep. */
const mostDepth = 6;

const branching: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.IfStatement,
  ts.SyntaxKind.ForStatement,
  ts.SyntaxKind.ForInStatement,
  ts.SyntaxKind.ForOfStatement,
  ts.SyntaxKind.WhileStatement,
  ts.SyntaxKind.DoStatement,
  ts.SyntaxKind.CaseClause,
  ts.SyntaxKind.CatchClause,
  ts.SyntaxKind.ConditionalExpression,
]);
const choosing: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
]);

const branchesInPython = /\b(?:if|elif|for|while|except|and|or|case)\b/g;
/** Lines that stand within each other by their indentation. */
function depthInPython(body: readonly PythonLine[]): number {
  const open: number[] = [];
  let depth = 0;
  let within: number | null = null;
  for (const { indent, bare } of body) {
    if (within !== null && indent > within) continue;
    // A function inside counts for itself.
    within = /^(?:(?:async\s+)?def|class)\b/.test(bare) ? indent : null;
    while (open.length > 0 && indent <= open.at(-1)!) open.pop();
    if (/^(?:(?:async\s+)?for|if|elif|else|while|except|case)\b/.test(bare)) open.push(indent);
    depth = Math.max(depth, open.length);
  }
  return depth;
}

/** `a ? 1 : b ? 2 : 3`, with brackets or without. */
function isLastChoice(node: ts.Expression): boolean {
  const { parent } = node;
  if (ts.isParenthesizedExpression(parent)) return isLastChoice(parent);
  return ts.isConditionalExpression(parent) && parent.whenFalse === node;
}

/** Independent paths through each function (McCabe); functions inside another one count for themselves. */
export function complexityOf(path: string, text: string): Measured[] {
  if (isPython(path))
    return pythonDefinitions(text).map(({ name, line, body }) => {
      const paths = 1 + body.reduce((sum, each) => sum + (each.bare.match(branchesInPython)?.length ?? 0), 0);
      return { name, line, paths, depth: depthInPython(body) };
    });
  const file = parseScript(path, text);
  const found: Measured[] = [];
  const measure = (node: ts.Node, within: number): { paths: number; depth: number } => {
    let paths = 0;
    let depth = within;
    ts.forEachChild(node, (child) => {
      if (ts.isFunctionLike(child) && 'body' in child && child.body !== undefined) return;
      // A plain table of cases reads easily however long it is: one path for all that do nothing but answer.
      const plainCase =
        ts.isCaseClause(child) &&
        child.statements.every((each) => ts.isReturnStatement(each) || ts.isBreakStatement(each));
      if (branching.has(child.kind) && !plainCase) paths++;
      if (ts.isBinaryExpression(child) && choosing.has(child.operatorToken.kind)) paths++;
      const goesOn =
        (ts.isIfStatement(node) && node.elseStatement === child && ts.isIfStatement(child)) ||
        (ts.isConditionalExpression(child) && isLastChoice(child));
      const inside = measure(child, within + (branching.has(child.kind) && !goesOn ? 1 : 0));
      paths += inside.paths;
      depth = Math.max(depth, inside.depth);
    });
    return { paths, depth };
  };
  const visit = (node: ts.Node, within: string): void => {
    let inside = within;
    if (ts.isClassLike(node) && node.name !== undefined) inside = `${node.name.text}.`;
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const holder = node.parent;
      const name =
        node.name?.getText(file) ??
        (ts.isVariableDeclaration(holder) || ts.isPropertyAssignment(holder) || ts.isPropertyDeclaration(holder)
          ? holder.name.getText(file)
          : 'a function');
      const isBranch = !ts.isBlock(node.body) && branching.has(node.body.kind);
      const { paths, depth } = measure(node.body, isBranch ? 1 : 0);
      found.push({
        name: inside + name,
        line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1,
        paths: 1 + paths + (isBranch ? 1 : 0),
        depth,
      });
    }
    ts.forEachChild(node, (child) => visit(child, inside));
  };
  visit(file, '');
  return found;
}

/** More would take minutes to read; the summary says that circles were not looked for. */
const mostScripts = 8000;

/** Files that one file loads when it runs: imports of types only are none. */
async function edges(tree: SourceTree): Promise<Map<string, Set<string>> | null> {
  const paths = [...tree.files.keys()].filter((path) => isScript(path) && isProductSource(path));
  if (paths.length > mostScripts) return null;
  const found = new Map<string, Set<string>>();
  for (const path of paths) {
    await breathe();
    const targets = importsIn(tree, path, { types: false }).flatMap((name) => fileOf(tree, path, name) ?? []);
    found.set(path, new Set(targets.filter((target) => target !== path)));
  }
  return found;
}

/** The shortest way from one file to another along imports. */
function wayBack(graph: ReadonlyMap<string, ReadonlySet<string>>, from: string, to: string): string[] | null {
  const before = new Map<string, string | null>([[from, null]]);
  const open = [from];
  for (let at = open.shift(); at !== undefined; at = open.shift()) {
    if (at === to) {
      const way: string[] = [];
      for (let step: string | null = at; step !== null; step = before.get(step) ?? null) way.unshift(step);
      return way;
    }
    for (const next of graph.get(at) ?? []) {
      if (before.has(next)) continue;
      before.set(next, at);
      open.push(next);
    }
  }
  return null;
}

interface Token {
  text: string;
  line: number;
}
/** After one of these a stroke divides. */
const endsAValue: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.Identifier,
  ts.SyntaxKind.NumericLiteral,
  ts.SyntaxKind.StringLiteral,
  ts.SyntaxKind.NoSubstitutionTemplateLiteral,
  ts.SyntaxKind.TemplateTail,
  ts.SyntaxKind.CloseParenToken,
  ts.SyntaxKind.CloseBracketToken,
  ts.SyntaxKind.CloseBraceToken,
  ts.SyntaxKind.ThisKeyword,
]);
function tokensOfText(path: string, text: string): Token[] {
  if (isPython(path))
    return pythonDefinitions(text).flatMap(({ body }) =>
      body.flatMap((each) => (each.text.match(/\w+|[^\s\w]/g) ?? []).map((word) => ({ text: word, line: each.line }))),
    );
  const scanner = ts.createScanner(
    ts.ScriptTarget.Latest,
    true,
    path.endsWith('x') ? ts.LanguageVariant.JSX : ts.LanguageVariant.Standard,
    text,
  );
  const tokens: Token[] = [];
  const starts = ts.createSourceFile('x.js', text, ts.ScriptTarget.Latest, false).getLineStarts();
  let line = 0;
  // Only who reads the whole grammar knows where a template goes on after a value, and whether a stroke begins a pattern.
  const templates: number[] = [];
  let braces = 0;
  let before = ts.SyntaxKind.Unknown;
  for (let kind = scanner.scan(); kind !== ts.SyntaxKind.EndOfFileToken; kind = scanner.scan()) {
    if (kind === ts.SyntaxKind.OpenBraceToken) braces++;
    else if (kind === ts.SyntaxKind.TemplateHead) templates.push(braces);
    else if (kind === ts.SyntaxKind.CloseBraceToken && templates.at(-1) === braces) {
      kind = scanner.reScanTemplateToken(false);
      if (kind === ts.SyntaxKind.TemplateTail) templates.pop();
    } else if (kind === ts.SyntaxKind.CloseBraceToken) braces--;
    else if ((kind === ts.SyntaxKind.SlashToken || kind === ts.SyntaxKind.SlashEqualsToken) && !endsAValue.has(before))
      kind = scanner.reScanSlashToken();
    before = kind;
    while (line + 1 < starts.length && starts[line + 1]! <= scanner.getTokenStart()) line++;
    tokens.push({ text: scanner.getTokenText(), line: line + 1 });
    if (tokens.length > 200_000) break;
  }
  // Lists of imports are alike everywhere and copy nothing.
  const plain = new Set(
    text
      .split('\n')
      .flatMap((each, index) =>
        /^\s*(?:import\b|export\s*(?:\*|\{[^}]*\})\s*from|\} from )/.test(each) ? [index + 1] : [],
      ),
  );
  return tokens.filter((token) => !plain.has(token.line));
}

const windowTokens = 60;
const mostScannedFiles = 5000;
/** Of the same run of tokens. */
const mostPlaces = 50;

/** A number for every run of `windowTokens` tokens, rolled along; equal runs have equal numbers. */
function windowsOf(tokens: readonly Token[], ids: Map<string, number>): number[] {
  const numbers = tokens.map(({ text }) => {
    const id = ids.get(text) ?? ids.size + 1;
    ids.set(text, id);
    return id;
  });
  const windows: number[] = [];
  let [a, b, outA, outB] = [0, 0, 1, 1];
  for (let step = 1; step < windowTokens; step++) [outA, outB] = [Math.imul(outA, 1_000_003), Math.imul(outB, 92_821)];
  for (let at = 0; at < numbers.length; at++) {
    if (at >= windowTokens) {
      a = (a - Math.imul(numbers[at - windowTokens]!, outA)) | 0;
      b = (b - Math.imul(numbers[at - windowTokens]!, outB)) | 0;
    }
    a = (Math.imul(a, 1_000_003) + numbers[at]!) | 0;
    b = (Math.imul(b, 92_821) + numbers[at]!) | 0;
    if (at >= windowTokens - 1) windows.push((a >>> 0) * 2 ** 21 + (b & 0x1f_ffff));
  }
  return windows;
}

interface Copy {
  path: string;
  line: number;
  lines: number;
  tokens: number;
  of: string;
  ofLine: number;
  /** It is most of a function that the change brings. */
  ofAFunction: boolean;
}

/** A function is a copy when so much of it is. */
const mostOfIt = 0.75;
/** Where a function of a file begins, and how long it is, by lines. */
interface Span {
  from: number;
  lines: number;
}
function spansIn(path: string, text: string): Span[] {
  return unitsOf(path, text)
    .units.filter(({ constant }) => !constant)
    .map(({ line, start, end }) => ({ from: line, lines: text.slice(start, end).trim().split('\n').length }));
}

/** Runs of added lines that stand, token by token, somewhere else in what the product is made of. */
async function copies(changes: readonly FileChange[], tree: SourceTree): Promise<Copy[]> {
  const readable = (path: string): boolean =>
    isProductSource(path) && (tree.text(path)?.length ?? Infinity) < mostSourceBytes;
  const added = new Map(
    changes
      .filter(({ path, status, addedLines }) => status !== 'removed' && addedLines.size >= 8 && readable(path))
      .map((change) => [change.path, change.addedLines]),
  );
  if (added.size === 0) return [];
  const ids = new Map<string, number>();
  const fresh = [...added].map(([path, lines]) => {
    const tokens = tokensOfText(path, tree.text(path) ?? '');
    const windows = windowsOf(tokens, ids);
    return { path, lines, tokens, windows, originals: new Map<number, { path: string; line: number }>() };
  });
  const first = new Map<number, { of: (typeof fresh)[number]; at: number; line: number }>();
  const places = new Map<number, { of: (typeof fresh)[number]; at: number }[]>();
  for (const each of fresh) {
    for (const [at, window] of each.windows.entries()) {
      const line = each.tokens[at]!.line;
      const earlier = first.get(window);
      if (earlier === undefined) first.set(window, { of: each, at, line });
      // A function within another stands in both, and is no copy of itself.
      else if (earlier.of !== each || (at - earlier.at >= windowTokens && line !== earlier.line)) {
        // Whichever of them was there before is the original, also where the copy stands above it.
        if (each.lines.has(line) || !earlier.of.lines.has(earlier.line))
          each.originals.set(at, { path: earlier.of.path, line: earlier.line });
        else earlier.of.originals.set(earlier.at, { path: each.path, line });
      }
      if (!each.lines.has(line)) continue;
      const known = places.get(window);
      if (known === undefined) places.set(window, [{ of: each, at }]);
      // Data repeats itself without end, and one copy is told by a few places.
      else if (known.length < mostPlaces) known.push({ of: each, at });
    }
  }
  let scanned = 0;
  for (const path of tree.files.keys()) {
    if (added.has(path) || !readable(path) || ++scanned > mostScannedFiles) continue;
    await breathe();
    const tokens = tokensOfText(path, tree.text(path) ?? '');
    for (const [at, window] of windowsOf(tokens, ids).entries())
      for (const place of places.get(window) ?? []) place.of.originals.set(place.at, { path, line: tokens[at]!.line });
  }
  return fresh.flatMap(({ path, lines, tokens, originals }) => {
    const found: Copy[] = [];
    const isNew = ({ from }: Span): boolean => lines.has(from);
    const spans = originals.size === 0 ? [] : spansIn(path, tree.text(path) ?? '');
    const hits = [...originals.keys()].sort((a, b) => a - b);
    for (let from = 0; from < hits.length;) {
      let to = from;
      while (to + 1 < hits.length && hits[to + 1]! - hits[to]! <= windowTokens) to++;
      const begin = tokens[hits[from]!]!.line;
      const end = tokens[Math.min(tokens.length, hits[to]! + windowTokens) - 1]!.line;
      const own = [...lines].filter((line) => line >= begin && line <= end).length;
      const { path: of, line: ofLine } = originals.get(hits[from]!)!;
      if (own >= 8 && own * 2 > end - begin)
        found.push({
          path,
          line: begin,
          lines: end - begin + 1,
          tokens: hits[to]! - hits[from]! + windowTokens,
          of,
          ofLine,
          ofAFunction: false,
        });
      from = to + 1;
    }
    // In parts as well: a word that was changed on the way cuts a copy in two.
    const shared = (copy: Copy, span: Span): number =>
      Math.max(0, Math.min(copy.line + copy.lines, span.from + span.lines) - Math.max(copy.line, span.from));
    for (const span of spans) {
      const within = found.filter((copy) => shared(copy, span) > 0);
      const lines = within.reduce((sum, copy) => sum + shared(copy, span), 0);
      if (isNew(span) && lines >= span.lines * mostOfIt) for (const copy of within) copy.ofAFunction = true;
    }
    return found;
  });
}

interface Unused {
  name: string;
  line: number;
  isFunction: boolean;
}

/** Names of a file that nothing in it uses and nobody outside can. */
function unusedIn(path: string, text: string): Unused[] {
  if (isPython(path)) return unusedInPython(text);
  const file = parseScript(path, text);
  return [...unusedPrivate(file), ...unusedAtTheTop(file, text)];
}

/** `#name` of a class, which nobody outside of it can say. */
function unusedPrivate(file: ts.SourceFile): Unused[] {
  const uses = new Map<string, number>();
  const members: Unused[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPrivateIdentifier(node)) uses.set(node.text, (uses.get(node.text) ?? 0) + 1);
    if (ts.isMethodDeclaration(node) && ts.isPrivateIdentifier(node.name)) {
      const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
      members.push({ name: node.name.text, line, isFunction: true });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return members.filter(({ name }) => uses.get(name) === 1);
}

/** `_name`, at the top or in a class that is of no other, and looked up by no text. */
function unusedInPython(text: string): Unused[] {
  if (/\b(?:getattr|globals|locals|vars|eval|exec)\s*\(|\b__dict__\b/.test(text)) return [];
  const lines = pythonLines(text).filter((each) => each.indent >= 0);
  const members: Unused[] = [];
  let scope: { indent: number; isOpen: boolean } | null = null;
  for (const [at, { line, indent, bare }] of lines.entries()) {
    if (scope !== null && indent <= scope.indent) scope = null;
    const name = /^(?:async\s+)?def\s+(_(?!_)\w+)/.exec(bare)?.[1];
    if (name !== undefined && (indent === 0 || scope?.isOpen === true) && lines[at - 1]?.bare.startsWith('@') !== true)
      members.push({ name, line, isFunction: true });
    if (scope === null && /^(?:async\s+def|def|class)\b/.test(bare))
      scope = { indent, isOpen: /^class\s+\w+\s*(?:\(\s*(?:object\s*)?\))?:/.test(bare) };
  }
  const says = (name: string): number => text.match(new RegExp(`\\b${name}\\b`, 'g'))?.length ?? 0;
  return members.filter(({ name }) => says(name) === 1);
}

function unusedAtTheTop(file: ts.SourceFile, text: string): Unused[] {
  if (
    !file.statements.some(
      (each) =>
        ts.isImportDeclaration(each) ||
        ts.isExportDeclaration(each) ||
        ts.isExportAssignment(each) ||
        (ts.canHaveModifiers(each) &&
          ts.getModifiers(each)?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword) === true),
    ) &&
    !/\bmodule\.exports|\bexports\./.test(text)
  )
    return [];
  const uses = new Map<string, number>();
  const count = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) uses.set(node.text, (uses.get(node.text) ?? 0) + 1);
    ts.forEachChild(node, count);
  };
  count(file);
  return file.statements.flatMap((each) => {
    if (
      ts.canHaveModifiers(each) &&
      ts
        .getModifiers(each)
        ?.some((modifier) => [ts.SyntaxKind.ExportKeyword, ts.SyntaxKind.DeclareKeyword].includes(modifier.kind)) ===
        true
    )
      return [];
    const line = file.getLineAndCharacterOfPosition(each.getStart(file)).line + 1;
    const named: { name: string; isFunction: boolean }[] =
      (ts.isFunctionDeclaration(each) || ts.isClassDeclaration(each)) && each.name !== undefined
        ? [{ name: each.name.text, isFunction: true }]
        : ts.isVariableStatement(each)
          ? each.declarationList.declarations.flatMap((one) =>
              ts.isIdentifier(one.name)
                ? [
                    {
                      name: one.name.text,
                      isFunction: one.initializer !== undefined && ts.isFunctionLike(one.initializer),
                    },
                  ]
                : [],
            )
          : [];
    return named.filter(({ name }) => uses.get(name) === 1 && !name.startsWith('_')).map((one) => ({ ...one, line }));
  });
}

/** Statements after one that always leaves. */
function unreachableIn(path: string, text: string): { line: number; text: string }[] {
  const file = parseScript(path, text);
  const found: { line: number; text: string }[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node) || ts.isSourceFile(node) || ts.isCaseOrDefaultClause(node)) {
      const statements = [...node.statements];
      const leaves = statements.findIndex(
        (each) =>
          ts.isReturnStatement(each) ||
          ts.isThrowStatement(each) ||
          ts.isContinueStatement(each) ||
          ts.isBreakStatement(each),
      );
      const dead =
        leaves < 0
          ? undefined
          : statements
              .slice(leaves + 1)
              .find(
                (each) =>
                  !ts.isFunctionDeclaration(each) &&
                  !ts.isInterfaceDeclaration(each) &&
                  !ts.isTypeAliasDeclaration(each) &&
                  !ts.isBreakStatement(each) &&
                  !ts.isEmptyStatement(each),
              );
      if (dead !== undefined)
        found.push({
          line: file.getLineAndCharacterOfPosition(dead.getStart(file)).line + 1,
          text: dead.getText(file).replace(/\s+/g, ' ').slice(0, 200),
        });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** The same in Python; a `yield` there only makes a generator of the function. */
function unreachableInPython(source: string): { line: number; text: string }[] {
  const lines = pythonLines(source).filter((each) => each.indent >= 0);
  return lines.flatMap(({ line, indent, text, bare }, at) => {
    const leaving = lines[at - 1];
    return leaving !== undefined &&
      leaving.indent === indent &&
      /^(?:return|raise|continue|break)\b/.test(leaving.bare) &&
      !/^(?:yield|def|class|@)/.test(bare)
      ? [{ line, text: text.slice(0, 200) }]
      : [];
  });
}

const says = (text: string, name: string): boolean =>
  new RegExp(`(?<![\\w$#])${name.replace(/\$/g, '\\$')}(?![\\w$])`).test(text);
/** In how many files of Python each `_name` stands: nobody is kept from using those of others. */
async function strokedNames(tree: SourceTree): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  let scanned = 0;
  for (const path of tree.files.keys()) {
    if (!isPython(path) || ++scanned > mostScannedFiles) continue;
    await breathe();
    for (const name of new Set(tree.text(path)?.match(/\b_\w+/g))) files.set(name, (files.get(name) ?? 0) + 1);
  }
  return files;
}

/** How the change is built: complexity, copies, dead code, circles and forbidden directions of imports. Only what it makes worse. */
export const structureCheck: Check = {
  name: 'structure',
  category: 'structure',
  languages: ['typescript', 'javascript', 'python'],
  needs: [],
  purposes: changePurposes,
  async run({ policy, against, candidate, changes }) {
    if (!policy.checks.structure) return outcome('not_run', 'switched off in muster.yaml');
    const findings: Finding[] = [];
    const report = (
      rule: string,
      level: Finding['level'],
      path: string,
      line: number | null,
      message: string,
      remedy: string,
      key: string,
    ): void => {
      findings.push(
        findingOf({ check: 'structure', rule: `structure.${rule}`, level, message, path, line, remedy, key }),
      );
    };
    const touched = changes.filter(
      ({ path, status }) =>
        status !== 'removed' && isProductSource(path) && (candidate.text(path)?.length ?? Infinity) < mostSourceBytes,
    );
    // Code that moved keeps its measure: what any touched file had under a name counts as before.
    const before = new Map<string, Pick<Measured, 'paths' | 'depth'>>();
    const bodies = new Set<string>();
    const decidedBefore = new Set<string>();
    for (const { path, status } of changes) {
      const text = status === 'added' || !isProductSource(path) ? null : (against?.text(path) ?? null);
      if (text === null || text.length > mostSourceBytes) continue;
      await breathe();
      for (const { name, paths, depth } of complexityOf(path, text)) {
        const known = before.get(name) ?? { paths: 0, depth: 0 };
        before.set(name, { paths: Math.max(known.paths, paths), depth: Math.max(known.depth, depth) });
      }
      for (const each of functionsIn(path, text)) bodies.add(each.tokens);
      for (const each of decidedConditions(path, text)) decidedBefore.add(each.text);
    }
    // As deep as one whose name is gone: it may be called otherwise now.
    const deepBefore = [...before].filter(([, { depth }]) => depth > mostDepth);
    const names = new Set(deepBefore.length === 0 ? [] : touched.flatMap(({ path }) => complexityOf(path, candidate.text(path) ?? '').map(({ name }) => name))); // prettier-ignore
    const deepestGone = Math.max(0, ...deepBefore.flatMap(([name, { depth }]) => (names.has(name) ? [] : [depth])));
    const { warning, error } = policy.complexity;
    let stroked: Map<string, number> | null = null;
    for (const { path, addedLines } of touched) {
      await breathe();
      const text = candidate.text(path) ?? '';
      const moved = new Set(
        functionsIn(path, text)
          .filter((each) => bodies.has(each.tokens))
          .map((each) => each.line),
      );
      for (const { name, line, paths, depth } of complexityOf(path, text)) {
        const { paths: was, depth: depthBefore } = before.get(name) ?? { paths: 0, depth: 0 };
        if (depth > mostDepth && depth > Math.max(depthBefore, deepestGone) && !moved.has(line))
          report(
            'nesting',
            'error',
            path,
            line,
            `In ${name} ${depth} branches and loops stand within each other${depthBefore > 0 ? `, ${depthBefore} before` : ''}; nobody can say any more when the innermost is reached.`,
            'Leave early where a condition does not hold, and take parts of it out into functions with names.',
            `nesting ${name}`,
          );
        if (paths < warning || moved.has(line) || paths <= was) continue;
        // Debt is not charged: what was over the line already may grow a little.
        const level =
          paths >= error && paths - was >= 5 ? 'error' : paths - was >= 3 || was < warning ? 'warning' : 'note';
        report(
          'complexity',
          level,
          path,
          line,
          `There are ${paths} ways through ${name}${was > 0 ? `, ${was} before` : ''}; from ${warning} on it costs points, from ${error} on more.`,
          'Take parts of it out into functions with names.',
          `complexity ${name}`,
        );
      }
      for (const each of isScript(path) ? unreachableIn(path, text) : unreachableInPython(text))
        if (addedLines.has(each.line))
          report(
            'unreachable',
            'error',
            path,
            each.line,
            'This is never reached: the line before always leaves.',
            'Take it out, or put it where it is reached.',
            each.text,
          );
      for (const each of decidedConditions(path, text))
        if (addedLines.has(each.line) && !decidedBefore.has(each.text))
          report(
            'decided',
            'error',
            path,
            each.line,
            each.holds === 'never'
              ? `This can never hold, so what stands behind it is never done: ${each.text}`
              : `This always holds, so it asks nothing: ${each.text}`,
            'Ask for what you mean, or take it out.',
            each.text,
          );
      const old = against?.text(path) ?? null;
      const unusedBefore = new Set(old === null ? [] : unusedIn(path, old).map((each) => each.name));
      for (const { name, line, isFunction } of unusedIn(path, text)) {
        if (
          unusedBefore.has(name) ||
          (old !== null && !addedLines.has(line) && !says(old, name)) ||
          (isPython(path) && ((stroked ??= await strokedNames(candidate)).get(name) ?? 0) > 1)
        )
          continue;
        report(
          'unused',
          isFunction ? 'error' : 'warning',
          path,
          line,
          `Nothing uses ${name}, and nobody outside of ${path} can.`,
          'Use it or take it out.',
          `unused ${name}`,
        );
      }
    }
    for (const copy of await copies(changes, candidate)) {
      const level =
        copy.tokens < 100 || copy.lines < 10
          ? null
          : copy.ofAFunction || (copy.tokens >= 250 && copy.lines >= 25)
            ? 'error'
            : 'warning';
      if (level !== null)
        report(
          'duplication',
          level,
          copy.path,
          copy.line,
          `${copy.lines} lines from here on${copy.ofAFunction ? ', most of a function,' : ''} stand in ${copy.of}:${copy.ofLine} as well.`,
          'Make them one function that both use.',
          `${copy.path} ${copy.of} ${copy.tokens}`,
        );
    }
    const scripts = touched.filter(({ path }) => isScript(path));
    const after = scripts.length > 0 ? await edges(candidate) : null;
    const earlier = against === null || after === null ? new Map<string, Set<string>>() : await edges(against);
    if (after !== null && earlier !== null) {
      const told = new Set<string>();
      const forbidden = policy.imports.map((rule) => ({
        ...rule,
        isFrom: picomatch(rule.from, { dot: true }),
        isTo: picomatch(rule.to, { dot: true }),
      }));
      for (const { path } of scripts) {
        for (const target of after.get(path) ?? []) {
          if (earlier.get(path)?.has(target) === true) continue;
          const rule = forbidden.find((each) => each.isFrom(path) && each.isTo(target));
          if (rule !== undefined)
            report(
              'forbidden_import',
              'error',
              path,
              null,
              `${path} imports ${target}: ${rule.because}`,
              'Ask the other part through what both may use.',
              `${path} ${target}`,
            );
          const way = wayBack(after, target, path);
          if (way === null || wayBack(earlier, target, path)?.join() === [path].join()) continue;
          const circle = [...new Set(way)].sort().join(' ');
          // Files that went in a circle before make no new one.
          const members = circle.split(' ');
          const old = members.every((one) => members.every((other) => wayBack(earlier, one, other) !== null));
          if (told.has(circle) || old) continue;
          told.add(circle);
          report(
            'cycle',
            'error',
            path,
            null,
            `Imports go in a circle now: ${[path, ...way].join(' → ')}.`,
            'Move what both need into a file of its own.',
            circle,
          );
        }
      }
    }
    const failed = findings.some((each) => each.level === 'error');
    return outcome(
      failed ? 'failed' : 'passed',
      (findings.length === 0 ? 'nothing got more tangled' : `${findings.length} places got more tangled`) +
        (scripts.length > 0 && (after === null || earlier === null)
          ? `; circles were not looked for in more than ${mostScripts} files`
          : ''),
      findings,
      { found: findings.length },
    );
  },
};
