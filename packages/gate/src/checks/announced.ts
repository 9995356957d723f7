import type { Finding } from '@muster/contracts';
import { posix } from 'node:path';
import ts from 'typescript';
import { mostSourceBytes } from '../source/fresh.ts';
import { parseScript, tokensOf } from '../source/functions.ts';
import { isProductSource, isPython, isScript, isTestFile } from '../source/paths.ts';
import { pythonLines } from '../source/python.ts';
import { valuesIn } from '../source/test-cases.ts';
import { promiseOf } from '../source/titles.ts';
import { byName } from '../project/test-runner.ts';
import { findingOf, firstLine, type CheckContext } from './check.ts';
import { testsOf, valuesOutside } from './rewritten.ts';

/** Documents about the product. Elsewhere a page may be the product: a post, a template, a question to a model. */
const isDocument = (path: string): boolean =>
  /\.(?:md|mdx|markdown|rst|adoc|txt)$/i.test(path) &&
  !/requirements|constraints|robots|CMakeLists|skill|agents|claude|prompt|template|index/i.test(posix.basename(path)) &&
  ((!path.includes('/') && !/\.txt$/i.test(path)) ||
    /(?:^|\/)(?:docs?|documentation)\//i.test(path) ||
    /(?:^|\/)(?:readme|change-?log|changes|history|news|contributing|notes|todo)\b[^/]*$/i.test(path));

/** Remarks that tools obey when something is built or run. */
const obeyed =
  /[#@]__(?:PURE|NO_SIDE_EFFECTS)__|\bwebpack[A-Z]\w+\s*:|@vite-|@jsx\w*\s|@(?:jest|vitest)-environment|@(?:swagger|openapi)\b|sourceMappingURL|^#!/m;
const obeyedInPython = /^#!|coding[:=]|>>>/m;

/** What is left of a script when it runs, one token after the other: no types, no remarks, no layout. */
function runningScript(path: string, text: string): string {
  const jsx = /x$/.test(path);
  const { outputText } = ts.transpileModule(text, {
    fileName: path,
    compilerOptions: {
      target: ts.ScriptTarget.ESNext,
      module: ts.ModuleKind.ESNext,
      removeComments: true,
      // Where types are kept for the run, they count.
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      ...(jsx ? { jsx: ts.JsxEmit.Preserve } : {}),
    },
  });
  const name = jsx ? 'running.jsx' : 'running.js';
  return tokensOf(parseScript(name, outputText), parseScript(name, outputText))
    .replace(/^(?:(["'])use strict\1 ;\s*)?(?:export \{\s*\} ;\s*)?$/, '')
    .replace(/(?<=^|\s)'([^'"\\]*)'(?=\s|$)/g, '"$1"')
    .replaceAll(/ ,(?= [)\]}])/g, '')
    .trim();
}

/** The same for Python, whose types may be asked for when it runs, and stay. */
function runningPython(text: string): string {
  const depths = [0];
  return pythonLines(text)
    .filter(({ indent, bare }) => indent >= 0 && !/^[rRuUbB]{0,2}(?:""|'')(?:""|'')*$/.test(bare))
    .map(({ indent, text: line }) => {
      while (indent < depths.at(-1)!) depths.pop();
      if (indent > depths.at(-1)!) depths.push(indent);
      const said = line.replace(
        /("""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\s+/g,
        (_all, literal?: string) => literal ?? '',
      );
      return `${depths.length} ${said}`;
    })
    .join('\n');
}

/** What Python says of types in remarks. */
const typesIn = (text: string): string => (text.match(/#\s*(?:type|pyright|mypy):.*/g) ?? []).join('\n');

/** How a changed file differs: in nothing but words, in nothing but types besides, or in what is run or read by something. */
function differenceOf({ candidate, against }: CheckContext, path: string): 'words' | 'types' | 'runs' {
  if (isDocument(path)) return 'words';
  const [was, is] = [against?.text(path) ?? '', candidate.text(path) ?? ''];
  if (/\.d\.[mc]?ts$/.test(path)) return 'types';
  if (!(isScript(path) || isPython(path)) || Math.max(was.length, is.length) > mostSourceBytes) return 'runs';
  const known = new Set(was.split('\n'));
  const remarks = isPython(path) ? obeyedInPython : obeyed;
  if (is.split('\n').some((line) => !known.has(line) && remarks.test(line))) return 'runs';
  try {
    if (isPython(path)) {
      if (runningPython(was) !== runningPython(is)) return 'runs';
      return typesIn(was) === typesIn(is) ? 'words' : 'types';
    }
    if (runningScript(path, was) !== runningScript(path, is)) return 'runs';
    const tokens = (text: string): string => tokensOf(parseScript(path, text), parseScript(path, text));
    return tokens(was) === tokens(is) ? 'words' : 'types';
  } catch (error) {
    // Nested so deeply that nobody can follow it: it may run.
    if (error instanceof RangeError) return 'runs';
    throw error;
  }
}

/** A type that the title names as the code does is what it is about: `Add priority to TaskRequest`. */
function namesAType({ candidate, changes }: CheckContext, title: string): boolean {
  const [, ...named] = title.trim().split(/\s/);
  const words = new Set(named.join(' ').match(/\w+/g));
  return changes.some(({ path, status }) => {
    if (status === 'removed') return false;
    const text = candidate.text(path) ?? '';
    const declared = [...text.matchAll(/\b(?:interface|type|enum)\s+([A-Z]\w*)/g)].map(([, name]) => name!);
    const passedOn = [...text.matchAll(/\bexport\s+type\s*\{([^{}]*)\}/g)].flatMap(([, names]) => names!.match(/\w+/g) ?? []); // prettier-ignore
    return [...declared, ...passedOn].some((name) => /^[A-Z].*[a-z]/.test(name) && words.has(name));
  });
}

/** The title names the document that it changes: `Add httpx to third party packages`. One word may be of something else. */
function namesADocument({ changes }: CheckContext, title: string): 'surely' | 'maybe' | null {
  const plain = (text: string): string =>
    ` ${
      text
        .toLowerCase()
        .match(/[\p{L}\p{N}]+/gu)
        ?.join(' ') ?? ''
    } `;
  const said = plain(title);
  const named = changes
    .map(({ path }) => plain(posix.basename(path).replace(/\.[^.]*$/, '')).trim())
    .filter((name) => name !== '' && / (?:to|in|from)(?: the)? $/.test(said.slice(0, Math.max(0, said.indexOf(` ${name} `) + 1)))); // prettier-ignore
  return named.length === 0 ? null : named.some((name) => name.includes(' ')) ? 'surely' : 'maybe';
}

/** Where tests lie that the gate does not read case by case, and what asks for nothing by itself. */
const elsewhere = /(?:^|[/._-])(?:tests?|e2e|cypress|specs?|features?|fixtures?|testdata)(?:[/._-]|$)/i;
const settings = /\.(?:json5?|ya?ml|toml|ini|cfg|css|html|svg|lock)$/i;

/** Does any test ask for more than before: a case, an assertion, a row, or a value that tests read? */
function asksForMore({ candidate, against, changes, candidateFacts, baseFacts }: CheckContext): boolean {
  const [now, then] = [candidateFacts?.tests, baseFacts?.tests];
  if (now?.detailed === true && then?.detailed === true) {
    const known = byName(then.cases);
    if ([...byName(now.cases)].some(([key, { status }]) => status !== 'skipped' && !known.has(key))) return true;
  }
  return changes.some(({ path, status }) => {
    if (status === 'removed' || isDocument(path)) return false;
    if (!isScript(path) && !isPython(path)) return elsewhere.test(path) || !settings.test(path);
    const [was, is] = [against?.text(path) ?? '', candidate.text(path) ?? ''];
    if (!isTestFile(path)) return elsewhere.test(path) || (is.match(/>>>/g)?.length ?? 0) > (was.match(/>>>/g)?.length ?? 0); // prettier-ignore
    const [then, now] = [against, candidate].map((tree) => (tree === null ? [] : testsOf(tree, [path])));
    const known = new Set(then!.map(({ rows, body, skipped }) => `${skipped} ${rows} ${body}`));
    const fresh = now!.filter(({ rows, body, skipped }) => !known.has(`${skipped} ${rows} ${body}`));
    if (fresh.length > 0) return fresh.some(({ skipped }) => !skipped);
    // Tests that come from a loop, or from a table beside them, are not written down one by one.
    if (was === '') return /\b(?:each|for|forEach|parametrize)\b/.test(is);
    return valuesIn(valuesOutside(against!, path)).join() !== valuesIn(valuesOutside(candidate, path)).join();
  });
}

/** A title that promises what nothing in the change keeps: no line of it is run by anything, or no test asks for more. */
export function announcedInVain(context: CheckContext): Finding[] {
  const { declared, against, candidate, changes, approvedBy } = context;
  const title = firstLine(declared.title);
  const promise = promiseOf(title);
  if (promise === null || against === null || changes.length === 0) return [];
  const found = (why: string, remedy: string, doubted = false): Finding[] => [
    findingOf({
      check: 'claims',
      rule: 'claims.nothing_done',
      level: approvedBy === null && !doubted ? 'error' : 'warning',
      message: `This calls itself “${title.slice(0, 100)}”, and ${why}.`,
      path: changes[0]!.path,
      remedy,
      key: title,
    }),
  ];
  if (promise.kept === 'tests')
    return asksForMore(context)
      ? []
      : found('no test asks for more than before', 'Hand in the tests that the title promises.');
  // Where nothing is there that could run, words are the work.
  if (promise.byWords === 'anywhere' || ![...candidate.files.keys()].some(isProductSource)) return [];
  let types = false;
  for (const { path, status } of changes) {
    if (status === 'removed' && !isDocument(path)) return [];
    const difference = differenceOf(context, path);
    if (difference === 'runs') return [];
    types ||= difference === 'types';
  }
  const named = changes.every(({ path }) => isDocument(path)) ? namesADocument(context, title) : null;
  if (named === 'surely' || (promise.byWords === 'in documents' && changes.every(({ path }) => isDocument(path))))
    return [];
  if (types && (promise.byTypes || namesAType(context, title))) return [];
  return found(
    `nothing that it changes is ever run: ${types ? 'types and words' : 'words'} alone`,
    'Hand in what the title promises; or call it what it is, like “Document …” or “Comment on …”.',
    named === 'maybe',
  );
}
