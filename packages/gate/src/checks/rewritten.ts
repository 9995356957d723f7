import type { TestCase } from '@muster/contracts';
import ts from 'typescript';
import { mostSourceBytes } from '../source/fresh.ts';
import { parseScript, tokensOf } from '../source/functions.ts';
import { pythonLines } from '../source/python.ts';
import { byName } from '../project/test-runner.ts';
import { isProductSource, isPython, isScript, isTestFile } from '../source/paths.ts';
import { callsIn, valuesIn, writtenTests, type WrittenTest } from '../source/test-cases.ts';
import type { SourceTree } from '../source/tree.ts';
import type { CheckContext, FormerTests, PieceTrial } from './check.ts';
import { isOfTests } from './trials.ts';

export interface PlacedTest extends WrittenTest {
  path: string;
}

export const testsOf = (tree: SourceTree, paths: Iterable<string>): PlacedTest[] =>
  [...paths]
    .filter((path) => isTestFile(path) && (isScript(path) || isPython(path)))
    .flatMap((path) => writtenTests(path, tree.text(path) ?? '').map((test) => ({ ...test, path })));

/** Names of the code, and the words of its texts. */
export const identifier = /[A-Za-z_$][\w$]*/g;

/** The last part of a case's name, which is what the file writes down. */
export const leaf = (name: string): string => name.split(' > ').at(-1) ?? name;

/** Runners join the names of groups and tests, each in its own way, and add the row that a case is fed with. */
export const isCaseOf = (written: string, ran: string): boolean =>
  leaf(written) === leaf(ran) ||
  written.replaceAll(' > ', ' ') === ran ||
  leaf(ran).startsWith(`${leaf(written)}[`) ||
  (written.includes('${}') && isFilledIn(written, ran));

/** Is this a title with values where the other has `${}`? */
function isFilledIn(title: string, ran: string): boolean {
  const [start = '', ...rest] = leaf(title).split('${}');
  const end = rest.pop() ?? '';
  // The groups may stand before it, joined in the runner's own way.
  let at = ran.indexOf(start);
  // A title of hardly any words of its own is anybody's.
  if (`${start}${rest.join('')}${end}`.trim().length < 3) return false;
  if (at < 0 || !ran.endsWith(end)) return false;
  at += start.length;
  for (const part of rest) {
    at = ran.indexOf(part, at);
    if (at < 0) return false;
    at += part.length;
  }
  return at + end.length <= ran.length;
}

const prose = /\.(?:md|mdx|markdown|rst|adoc|txt)$/;
const isSnapshot = /\.snap$|\.snapshot$|\.ambr$|(^|\/)__snapshots__\//;

/** What a file of snapshots says of each name. */
export const snapshotsOf = (tree: SourceTree | null, path: string): Map<string, string> =>
  new Map(
    [
      ...(tree?.text(path) ?? '').matchAll(
        /^exports\[`([^`\\]*(?:\\[\s\S][^`\\]*)*)`\]\s*=\s*`([^`\\]*(?:\\[\s\S][^`\\]*)*)`;$/gm,
      ),
    ].map((match) => [match[1]!, match[2]!]),
  );
export const isSnapshotFile = (path: string): boolean => isSnapshot.test(path);
/** The test that a snapshot belongs to: its name is followed by a number. */
export const testOfSnapshot = (name: string): string => name.replace(/ \d+$/, '');

/** Something that can make a test answer otherwise: not a test, not what it compares with, not words. */
export const altersBehaviour = ({ changes }: Pick<CheckContext, 'changes'>): boolean =>
  changes.some(({ path }) => !isOfTests(path) && !prose.test(path));

const common = new Set(
  'text data value values item items list name names from with line lines make find read write test index main file files page body string number options result'.split(
    ' ',
  ),
);
const stem = (word: string): string => word.toLowerCase().replace(/(?:ies|ing|es|ed|s|y)$/, '');
export const stemsOf = (text: string): Set<string> =>
  new Set(
    (text.replace(/([a-z\d])([A-Z])/g, '$1 $2').match(/\p{L}{4,}/gu) ?? [])
      .filter((word) => !common.has(word.toLowerCase()))
      .map(stem),
  );
/** Short words count where they stand for something of the code (`vat`), and are none of the language. */
const glue = new Set(
  'the and for not all any are but can has its let new nor now old one out per set the too two use was who why yes you def self return const function class else elif case true false none null this var int str float decimal number string math round async await import from get put add map list args'.split(
    ' ',
  ),
);
const shortWords = (text: string): Set<string> =>
  new Set(
    (text.replace(/([a-z\d])([A-Z])/g, '$1 $2').match(/\p{L}{3,}/gu) ?? [])
      .map((word) => word.toLowerCase())
      .filter((word) => !common.has(word) && !glue.has(word))
      .map(stem),
  );
/** The work is said to change only how something is put to people. */
const rewords = /\b(?:re-?word|re-?phras|wording|messages?\b|spell|typos?\b|plainly)/i;
const announces =
  /\b(?:chang(?:e|es|ed)|rais(?:e|es|ed)|lower(?:s|ed)?|(?:in|de)creas(?:e|es|ed)|replac(?:e|es|ed)|repurpos(?:e|es|ed)|switch(?:es|ed)?|renam(?:e|es|ed)|round(?:s|ed)?|print(?:s|ed)?|shorten(?:s|ed)?|lengthen(?:s|ed)?|extend(?:s|ed)?|revert(?:s|ed)?|instead|no longer)\b/i;
/** `feat!:`, as Conventional Commits have it: what the title is about works otherwise now. */
const breaks = /^(?:breaking\b|\w+(?:\([^)]*\))?!:)/i;
/** The kind of a change is nothing that it is about. */
const kindOfChange =
  /^(?:breaking(?:[ -]changes?)?|build|chore|ci|docs?|feat(?:ure)?|(?:bug|hot)?fix|perf|refactor|revert|style|tests?)(?=[(!:])/i;

const ofAssertions =
  /^(?:expect|assert|to[A-Z]\w*|equals?|eql?|deep\w*|strict\w*|ok|match\w*|throws|rejects|is[A-Z]\w*|not\w*|String|Number|Object|Array|require|map|filter|for|if|raises|len|list|str|int|sorted)$/;

/** More than a snapshot, which agrees with whatever the code does as well. */
const wantsSomething = (test: WrittenTest): boolean => test.assertions > (test.body.match(/napshot \(/g)?.length ?? 0);

/** An expectation, or a snapshot, of a test that was there before and wants something else now. */
export interface Rewritten {
  /** What the test is called, as the file writes it down or as the runner tells it. */
  name: string;
  /** What is wanted now. */
  is: string;
  /** Both, where they are known apart from the test. */
  texts?: { readonly was: string; readonly is: string };
}

/**
 * Who stands for expectations that were rewritten? They agree with whatever the code does now, and so does whatever else the change
 * brings, unless it is about the same. Each piece of changed behaviour without which such a test fails has to be asked for by a test of
 * its own that fails without it as well, or to be said in words that are about it.
 */
export class Vouchers {
  private readonly context: CheckContext;
  private readonly cases: ReadonlyMap<string, TestCase>;
  private readonly before: ReadonlyMap<string, TestCase>;
  /** Tests as the files of the change write them down, now and before. */
  private readonly tests: readonly PlacedTest[];
  private readonly former: ReadonlyMap<string, PlacedTest>;
  private readonly words: string;

  /** @param renamed what tests of other names were before */
  constructor(context: CheckContext, renamed: ReadonlyMap<PlacedTest, PlacedTest> = new Map()) {
    const { candidate, against, changes, candidateFacts, baseFacts } = context;
    this.context = context;
    this.cases = byName(candidateFacts?.tests?.cases ?? []);
    this.before = byName(baseFacts?.tests?.cases ?? []);
    this.former = new Map([
      ...[...renamed].map(([then, now]) => [leaf(now.name), then] as const),
      ...(against === null ? [] : testsOf(against, against.files.keys())).map(
        (test) => [leaf(test.name), test] as const,
      ),
    ]);
    this.tests = testsOf(
      candidate,
      changes.filter(({ status }) => status !== 'removed').map(({ path }) => path),
    );
    this.words = changes
      .filter(({ path, status }) => status !== 'removed' && prose.test(path))
      .flatMap(({ path, addedLines }) =>
        (candidate.text(path) ?? '').split('\n').filter((_line, index) => addedLines.has(index + 1)),
      )
      .join('\n');
  }

  /** Null where somebody stands for it; else why nobody does. */
  async missing(rewritten: Rewritten): Promise<string | null> {
    const { trials, approvedBy } = this.context;
    if (approvedBy !== null) return null;
    const seen = await trials.pieces();
    const pieces = (seen?.trials ?? []).filter(({ failing }) => failing.some((key) => isCaseOf(rewritten.name, key)));
    if (pieces.length === 0) {
      const calls = this.callsOf(rewritten.name);
      if (this.areSaid([...calls], rewritten) || this.isReworded(rewritten)) return null;
      // Where pieces were tried, one of them would have been missed had the test asked for it.
      if ((seen === null || seen.leftOut > 0 || seen.trials.length === 0 || this.altersData()) && this.isGrownAsDeclared(rewritten)) return null; // prettier-ignore
      return this.tests.some(
        (test) =>
          !this.former.has(leaf(test.name)) &&
          !test.skipped &&
          wantsSomething(test) &&
          [...callsIn(test.body)].some((name) => calls.has(name)),
      )
        ? null
        : 'nothing else in the change says that this is meant';
    }
    const contradicted = new Set((await trials.formerTests())?.failing);
    for (const piece of pieces) {
      if (piece.failing.some((key) => !contradicted.has(key) && this.asksByItself(key))) continue;
      if (this.areSaid([...piece.names, piece.path.split('/').at(-1)!], rewritten)) continue;
      if (this.isDeclared(piece, rewritten) || this.isReworded(rewritten)) continue;
      if (this.isRenamedAsSaid(rewritten)) continue;
      if (this.isAbout(piece) && this.isGrownAsDeclared(rewritten)) continue;
      return `no test of its own asks for what is changed in ${piece.names[0]} (${piece.path}:${piece.line}), and no words say that it is meant`;
    }
    return null;
  }

  /** A case that the change brings, or adds to, and that takes nothing back: a new test, a new row, an assertion more. */
  private asksByItself(key: string): boolean {
    const { candidate, against } = this.context;
    const added = !this.before.has(key);
    const file = this.cases.get(key)?.file ?? null;
    const now = this.tests.find((test) => isCaseOf(test.name, key) && (file === null || test.path === file));
    if (now === undefined) {
      if (!added || file === null || against === null) return false;
      return !losesValues(valuesOutside(against, file), valuesOutside(candidate, file));
    }
    if (!wantsSomething(now)) return false;
    const then = this.former.get(leaf(now.name));
    if (then === undefined) return added;
    // Under another name it is no new one: what it is fed with may stand beside it.
    if (added && leaf(then.name) !== leaf(now.name)) {
      const [was, is] =
        against === null ? ['', ''] : [valuesOutside(against, now.path), valuesOutside(candidate, now.path)];
      return !losesValues(`${then.body} ${then.rows} ${was}`, `${now.body} ${now.rows} ${is}`);
    }
    const differs = then.body !== now.body || then.rows !== now.rows;
    return (added || differs) && !losesValues(`${then.body} ${then.rows}`, `${now.body} ${now.rows}`);
  }

  /** What the test calls, but for the words of assertions. */
  private callsOf(name: string): ReadonlySet<string> {
    const { candidate } = this.context;
    const isIt = (each: PlacedTest): boolean => isCaseOf(each.name, name);
    const test = this.tests.find(isIt) ?? testsOf(candidate, candidate.files.keys()).find(isIt);
    const calls = callsIn(test?.body ?? '');
    return new Set([...calls].filter((each) => !ofAssertions.test(each)));
  }

  /** What the title is about. */
  private said(): string {
    return (this.context.declared.title ?? '').replace(kindOfChange, '');
  }

  /** The title announces a change of something that stands on the few lines which are altered. */
  private isDeclared({ touched }: PieceTrial, rewritten: Rewritten): boolean {
    const title = this.said();
    const topics = shortWords(touched.join(' '));
    return this.announcesIt(rewritten) && [...shortWords(title)].some((word) => topics.has(word));
  }

  /** The title names the piece, or something on the few lines of it that are altered. */
  private isAbout({ names, touched }: PieceTrial): boolean {
    const topics = shortWords([...names, ...touched].join(' '));
    return [...shortWords(this.said())].some((word) => topics.has(word));
  }

  /** Something that no piece is made of can be why a test answers otherwise. */
  private altersData(): boolean {
    return this.context.changes.some(({ path }) => !isOfTests(path) && !prose.test(path) && !isScript(path) && !isPython(path)); // prettier-ignore
  }

  /** Nothing of what was wanted is gone, and what came along is what the title names. */
  private isGrownAsDeclared({ texts }: Rewritten): boolean {
    const added = texts === undefined || valuesIn(texts.was).length === 0 ? null : grownBy(texts.was, texts.is);
    const topics = stemsOf(this.said());
    return added !== null && [...stemsOf(added)].some((word) => topics.has(word));
  }

  /** The title says that words to people change, and the code said the one where it says the other now. */
  private isReworded({ texts }: Rewritten): boolean {
    const { against, candidate, changes, declared } = this.context;
    if (texts === undefined || against === null || !rewords.test(declared.title ?? '')) return false;
    const isSaying = (value: string): boolean => /\s/.test(value.slice(value.search(/\p{L}{2}/u) + 1)) && /\p{L}{2}/u.test(value); // prettier-ignore
    const said = (text: string): string[] => valuesIn(text).filter(isSaying);
    const [old, now] = [said(texts.was), said(texts.is)];
    // No words to people: what a rewording leaves alone.
    const [before, after] = [texts.was, texts.is].map((text) => valuesIn(text).filter((value) => /^(?:[\d.]+|true|false|null|undefined|None|True|False)$/.test(value)).join()); // prettier-ignore
    return (
      before === after &&
      old.length > 0 &&
      now.length > 0 &&
      changes.some(({ path, status }) => {
        if (status !== 'changed' || !isProductSource(path)) return false;
        const [then, there] = [against, candidate].map((tree) => valuesIn(tree.text(path) ?? '').join('\n')) as [
          string,
          string,
        ];
        return (
          old.every((value) => then.includes(value) && !there.includes(value)) &&
          now.every((value) => there.includes(value) && !then.includes(value))
        );
      })
    );
  }

  /** Whether documents of the change, or what the work was declared as, are about these names or about the new value. */
  private areSaid(names: readonly string[], rewritten: Rewritten): boolean {
    const { is } = rewritten;
    const topics = stemsOf(names.join(' ').replace(/\.\w+$/, ''));
    const values = valuesIn(is).filter((value) => value.length >= 2);
    const about = (text: string): boolean =>
      [...stemsOf(text)].some((word) => topics.has(word)) ||
      values.some((value) => new RegExp(`(?<![\\w.])${value.replace(/[^\w]/g, '\\$&')}(?![\\w.])`).test(text));
    const title = this.said();
    return about(this.words) || (this.announcesIt(rewritten) && about(title)) || this.namesTheNew(title, rewritten);
  }

  /** What the test is called now, and was not before, is what the title announces. */
  private isRenamedAsSaid({ name }: Rewritten): boolean {
    const former = this.former.get(leaf(name));
    const title = this.context.declared.title ?? '';
    if (former === undefined || !announces.test(title.replace(/\brenam\w*/gi, ''))) return false;
    const [before, said] = [shortWords(leaf(former.name)), shortWords(this.said())];
    return [...shortWords(leaf(name))].some((word) => !before.has(word) && said.has(word));
  }

  /** What a file of tests says beside them, before and now. */
  private outside(path: string | undefined): { was: string; is: string } {
    const { against, candidate } = this.context;
    if (path === undefined || against === null) return { was: '', is: '' };
    return { was: valuesOutside(against, path), is: valuesOutside(candidate, path) };
  }

  /** The title announces a change; that something is called otherwise is one only of values that have the old name in them. */
  private announcesIt({ name, is, texts }: Rewritten): boolean {
    const title = this.context.declared.title ?? '';
    if (announces.test(title.replace(/\brenam\w*/gi, ''))) return true;
    if (!announces.test(title)) return breaks.test(title);
    const former = this.former.get(leaf(name));
    const { was, is: now } = this.outside(former?.path);
    const then = texts?.was ?? (former === undefined ? null : `${former.body} ${former.rows} ${was}`);
    if (then === null) return true;
    const left = new Set(valuesIn(texts?.is ?? `${is} ${now}`));
    const old = title.match(/[\w$]{3,}/g) ?? [];
    return valuesIn(then).every((value) => left.has(value) || old.some((word) => value.includes(word)));
  }

  /** The title names a number that is wanted now and was not before, or the sign that stands in the place of another. */
  private namesTheNew(said: string, { name, is, texts }: Rewritten): boolean {
    // `(#270)` is the number of a request.
    const title = said.replace(/#\d+/g, '');
    const former = this.former.get(leaf(name));
    const was = texts?.was ?? (former === undefined ? null : `${former.body} ${former.rows}`);
    if (was === null) return false;
    const { was: wasOutside, is: isOutside } = this.outside(former?.path);
    const numbers = (text: string): Set<string> =>
      new Set(text.replace(/(?<=\d)[_,](?=\d)|\\(?=\.)/g, '').match(/\d[\d.]*\d/g));
    const [then, now] = [numbers(`${was} ${wasOutside}`), numbers(`${is} ${isOutside}`)];
    if ([...numbers(title)].some((each) => now.has(each) && !then.has(each))) return true;
    // `Repurpose OldError as NewError`
    const names = (text: string): Set<string> => new Set(text.match(/[A-Za-z_$][\w$]{5,}/g));
    const [old, fresh] = [names(was), names(is)];
    if (announces.test(title.replace(/\brenam\w*/gi, '')) && [...names(title)].some((each) => /[a-z][A-Z]|_/.test(each) && fresh.has(each) && !old.has(each))) return true; // prettier-ignore
    return texts !== undefined && signs.some(({ called, sign }) => called.test(title) && times(texts.is, sign) > times(texts.was, sign)); // prettier-ignore
  }
}

const signs: readonly { called: RegExp; sign: RegExp }[] = [
  { called: /\bcommas?\b/i, sign: /,/g },
  { called: /\b(?:dots?|periods?|full stops?|points?)\b/i, sign: /\./g },
  { called: /\b(?:dash(?:es)?|hyphens?)\b/i, sign: /[-–—]/g },
  { called: /\bunderscores?\b/i, sign: /_/g },
  { called: /\b(?:semi)?colons?\b/i, sign: /[:;]/g },
  { called: /\bslash(?:es)?\b/i, sign: /\//g },
  { called: /\b(?:line breaks?|new ?lines?)\b/i, sign: /\\n|<br/g },
  { called: /\b(?:spaces?|blanks?)\b/i, sign: / /g },
];
const times = (text: string, sign: RegExp): number => text.match(sign)?.length ?? 0;

/** Is every token of the one there in the other, in its order? What is there besides, else null. */
function grownBy(was: string, is: string): string | null {
  const tokens = (text: string): string[] => text.match(/[\p{L}\d_]+|[^\s\p{L}\d_]/gu) ?? [];
  const before = tokens(was);
  let at = 0;
  const added = tokens(is).filter((token) => (token === before[at] ? (at++, false) : true));
  return at === before.length && at > 0 && added.length > 0 ? added.join(' ') : null;
}

/** Tests that pass on both trees, and would fail on the change had they been left as they were. */
export async function contradicted(context: CheckContext): Promise<FormerTests | null> {
  return altersBehaviour(context) ? await context.trials.formerTests() : null;
}

/**
 * Does a test want something else now, or is it only asked otherwise? Names may change and calls may move: a value that it named before and
 * does not name any more was what it wanted, or gave.
 */
export function losesValues(was: string, is: string): boolean {
  const count = (text: string): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const value of valuesIn(text)) counts.set(value, (counts.get(value) ?? 0) + 1);
    return counts;
  };
  const now = count(is);
  return [...count(was)].some(([value, times]) => (now.get(value) ?? 0) < times);
}

/** What a test file says beside its tests: constants, tables, helpers. Imports left out: where something is says nothing about what is wanted. */
export function valuesOutside(tree: SourceTree, path: string): string {
  const text = tree.text(path);
  if (text === null || text.length >= mostSourceBytes) return '';
  if (isPython(path))
    return pythonLines(text)
      .filter(({ indent, text: line }) => indent >= 0 && !/^(?:from|import)\b/.test(line))
      .map(({ text: line }) => line)
      .join('\n');
  if (!isScript(path)) return text;
  const file = parseScript(path, text);
  return file.statements
    .filter((each) => !ts.isImportDeclaration(each))
    .map((each) => tokensOf(each, file))
    .join('\n');
}
/** The same without what its tests are called. */
export const besideOf = (tree: SourceTree, { path }: PlacedTest): string =>
  writtenTests(path, tree.text(path) ?? '').reduce(
    (text, { name }) => text.replaceAll(leaf(name), ''),
    valuesOutside(tree, path),
  );
