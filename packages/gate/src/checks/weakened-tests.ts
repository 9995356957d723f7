import type { Finding, TestCase } from '@muster/contracts';
import { posix } from 'node:path';
import { byName } from '../project/test-runner.ts';
import { isProductSource, isTestFile } from '../source/paths.ts';
import type { SourceTree } from '../source/tree.ts';
import { awaitedInstead, stillAsked, valuesIn, type Asserted } from '../source/test-cases.ts';
import { changePurposes, findingOf, outcome, type Check, type CheckContext } from './check.ts';
import { altersBehaviour, identifier, isCaseOf, leaf, stemsOf, testsOf, type PlacedTest } from './rewritten.ts';
import { rewrittenExpectations, type RewrittenTest } from './rewritten-expectations.ts';

const remedy =
  'Put the test back as it was and correct the code instead. If the test itself is wrong, a person has to say so.';

/** Which test each became. Names are not always its own, so each test stands for one other, the most alike first. */
function counterpartsOf(before: readonly PlacedTest[], now: readonly PlacedTest[]): Map<PlacedTest, PlacedTest> {
  const found = new Map<PlacedTest, PlacedTest>();
  const taken = new Set<PlacedTest>();
  const alike: readonly ((test: PlacedTest) => string)[] = [
    ({ path, name, body, rows }) => [path, name, body, rows].join('\0'),
    ({ path, name }) => [path, name].join('\0'),
    ({ name }) => name,
    ({ name }) => leaf(name),
  ];
  for (const key of alike) {
    const left = new Map<string, PlacedTest[]>();
    for (const test of now) if (!taken.has(test)) left.set(key(test), [...(left.get(key(test)) ?? []), test]);
    for (const test of before) {
      const match = found.has(test) ? undefined : left.get(key(test))?.shift();
      if (match === undefined) continue;
      found.set(test, match);
      taken.add(match);
    }
  }
  return found;
}

/** A body without the values that it names, and one in parts. */
const shapeOf = ({ body }: PlacedTest): string => body.replace(literal, '""');
const literal = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|\b\d[\d_.]*/g;
const partsOf = ({ body, rows }: PlacedTest): string[] =>
  `${body} ${rows}`.match(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[A-Za-z_$][\w$]*|\d[\d_.]*/g) ?? [];
/** How much of what both say is the same, from 0 to 1. */
function likenessOf(a: readonly string[], b: readonly string[]): number {
  const left = new Map<string, number>();
  for (const part of a) left.set(part, (left.get(part) ?? 0) + 1);
  let shared = 0;
  for (const part of b) {
    const count = left.get(part) ?? 0;
    if (count > 0) shared++;
    left.set(part, count - 1);
  }
  return (2 * shared) / Math.max(1, a.length + b.length);
}
/** Half and more of two tests of one file: they are the same one under two names, and what one wants the other wants as well or otherwise. */
const alike = 0.6;
const mostCompared = 200;

/** Tests that are gone by name, and which new one of their file each became: the most alike one that asks for as much. */
function renamedAmong(gone: readonly PlacedTest[], fresh: readonly PlacedTest[]): Map<PlacedTest, PlacedTest> {
  const pairs = gone.slice(0, mostCompared).flatMap((then) => {
    const parts = partsOf(then);
    return fresh
      .filter((now) => now.path === then.path && !now.skipped && now.assertions >= Math.max(1, then.assertions))
      .slice(0, mostCompared)
      .map((now) => ({ then, now, like: shapeOf(then) === shapeOf(now) ? 1 : likenessOf(parts, partsOf(now)) }));
  });
  const found = new Map<PlacedTest, PlacedTest>();
  const taken = new Set<PlacedTest>();
  for (const { then, now, like } of pairs.sort((a, b) => b.like - a.like)) {
    if (like < alike || found.has(then) || taken.has(now)) continue;
    found.set(then, now);
    taken.add(now);
  }
  return found;
}

/** Does it ask about the same things, or name every value that the other asks with and for? */
function asksForAllOf(now: PlacedTest, then: PlacedTest): boolean {
  const left = valuesIn(`${now.body} ${now.rows}`);
  return (
    then.asserted.length >= then.assertions &&
    then.asserted.every(
      ({ subject, expected }) =>
        now.asserted.some((each) => each.subject === subject) ||
        valuesIn(`${subject} ${expected}`).every((value) => left.includes(value)),
    )
  );
}

const calledFirst = (text: string): string | undefined => /^(?:await )?([A-Za-z_$][\w$. ]*?) ?\(/.exec(text)?.[1];
/** What was written out is asked of the code itself now: it is right whatever it answers. */
const answersItself = (was: Asserted, is: Asserted): boolean => {
  const asked = calledFirst(is.subject);
  if (asked === undefined || is.strength === 1) return false;
  const call = new RegExp(`(?<![\\w.])${asked.replace(/[$.]/g, '\\$&')} ?\\(`);
  return call.test(is.expected) && !call.test(was.expected);
};
/** What a comparison is about is one of the parts of what another asks, and not of a longer name. */
function isPartOf(subject: string, whole: string): boolean {
  if (!/[(.[]/.test(subject) && !whole.startsWith(subject)) return false;
  return standsIn(subject, whole);
}
/** It stands there for itself, and not within a longer word. */
function standsIn(part: string, whole: string): boolean {
  for (let at = whole.indexOf(part); at >= 0 && part !== ''; at = whole.indexOf(part, at + 1)) {
    let before = at - 1;
    while (whole[before] === ' ') before--;
    if (!/[\w$.]/.test(whole[before] ?? '') && !/[\w$]/.test(whole[at + part.length] ?? '')) return true;
  }
  return false;
}
/** Another way of asking for less of the same: of what the code itself answers, of what is rounded first, or whether there is something. */
const asksLessOf = (was: Asserted, is: Asserted): boolean =>
  was.strength === 3 &&
  ((calledFirst(was.subject) === calledFirst(is.subject) && answersItself(was, is)) ||
    (is.strength < 3 &&
      is.subject !== was.subject &&
      is.subject !== `${was.subject} === ${was.expected}` &&
      isPartOf(was.subject, is.subject)));

/** As much is asked of a part of the same, which only a test of another make asks in two steps: how often it was called, and with what. */
const asksAsMuch = (was: Asserted, is: Asserted): boolean =>
  is.strength === 3 && is.subject !== was.subject && isPartOf(was.subject, is.subject) && standsIn(was.expected, is.expected); // prettier-ignore

/** A text or a pattern without its quotes, and without its ends. */
const inner = (expected: string): string => expected.replace(/^(["'`/])\^?([\s\S]*?)\$?\1[a-z]*$/, '$2');
/** Part of the text that was looked for is all that is looked for now: whatever held before still holds. */
const wantsPartOf = (was: Asserted, is: Asserted): boolean =>
  was.strength === 2 &&
  is.strength === 2 &&
  is.expected.length < was.expected.length &&
  /["'`/]/.test(was.expected) &&
  inner(was.expected).includes(inner(is.expected));

const declaresRemoval = /\b(?:remov|delet|drop|retir|discontinu|deprecat|withdraw)\w*\b|\bget rid of\b|\bno longer\b/i;
const definition =
  /\b(?:function\*?|class|const|let|var|def|interface|type|enum)\s+([A-Za-z_$][\w$]*)|^[ \t]*(?:(?:public|static|async|export)\s+)*([A-Za-z_$][\w$]*)\s*\(/gm;

/** The words that a definition has above it, or, in Python, first in it. */
const docOf = (text: string, at: number): string =>
  /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*(?:export\s+)?(?:default\s+)?(?:async\s+)?$/.exec(
    text.slice(Math.max(0, at - 1000), at),
  )?.[0] ??
  /^[^\n]*:\s*\n\s*(?:"""[\s\S]*?"""|'''[\s\S]*?''')/.exec(text.slice(at, at + 1000).trimStart())?.[0] ??
  '';

interface Gone {
  /** Tells of a text whether it uses something of the product that this change took away altogether, and said so. */
  readonly uses: (text: string) => boolean;
  /** Tells of what a test is called whether it is what the work says that it removes, word by word. */
  readonly isCalled: (name: string) => boolean;
  /** Tells of a text whether it names a value that the work says it takes away, and that the product knows no more. */
  readonly names: (text: string) => boolean;
}
const nothingGone: Gone = { uses: () => false, isCalled: () => false, names: () => false };
/** Of the words of the title, a name has to share so many, and so large a part. */
const [fewestWords, mostOfThem] = [2, 0.6];
/** `os-locale`, `FSTDEP012`, `requestIdLabel`: nobody says that by the way. */
const distinctive = /[A-Za-z_$][\w$]*(?:[-/][\w$]+)+|[A-Za-z_$][\w$]*(?:\d|_|[a-z][A-Z])[\w$]*/g;
/** Values that a title says are taken away, where it writes them as values: `ENOENT`, `redirect(back)`, `"back"`. */
function valuesTakenAway(title: string): string[] {
  if (/\b(?:not|never|keep|restor\w+|stop|avoid)\b|n't\b/i.test(title)) return [];
  const [, ...behind] = title.split(
    /\b(?:[Rr]emov(?:e[sd]?|ing|al)|[Dd]elet(?:e[sd]?|ing)|[Dd]rop(?:s|ped|ping)?|[Ww]ithdr(?:aw(?:s|n|ing|al)?|ew))\b/,
  );
  return behind.join(' ').match(/\b[A-Z]{5,}\b|(?<=[("'`])[A-Za-z]{4,}(?=[)"'`])/g) ?? [];
}
/** As the code writes it down. */
const quoted = (value: string): RegExp => new RegExp(`(["'\`])${value}\\1`);
/** As it may go on to know it. */
const known = (value: string): RegExp =>
  /^[A-Z]+$/.test(value)
    ? new RegExp(`\\b${value}\\b`, 'i')
    : new RegExp(`(["'\`])${value}\\1|\\b${value}\\s*:|/\\^?${value}\\$?/`, 'i');

function declaredGone({ declared, against, candidate, changes }: CheckContext): Gone {
  const title = declared.title ?? '';
  // `DELETE` is a method, or a word of SQL.
  const removes = declaresRemoval.test(title.replace(/\bDELETE\b/g, ''));
  const replaces = /\breplac\w+|\bswap\w* out\b/i.test(title);
  if (against === null || !(replaces || removes)) return nothingGone;
  const textsOf = (tree: SourceTree, paths: Iterable<string>): string[] => [...paths].filter(isProductSource).flatMap((path) => tree.text(path) ?? []); // prettier-ignore
  const now = textsOf(candidate, candidate.files.keys());
  const left = new Set(now.flatMap((text) => text.match(identifier) ?? []));
  const touched = changes.filter(({ path, status }) => status !== 'added' && isProductSource(path));
  const before = textsOf(against, touched.map(({ path }) => path)); // prettier-ignore
  // By its own name, wherever in the product it stood: a package, a code, an option. What comes in its place may be the same under
  // another name, but for a package that is loaded.
  const loads = (name: string): boolean => before.some((text) => new RegExp(`\\b(?:from|require\\(|import\\(|import)\\s*["']${name.replace(/[$]/g, '\\$&')}["'/]`).test(text)); // prettier-ignore
  const byName = (title.match(distinctive) ?? [])
    .filter((name) => removes || loads(name))
    .map((name) => new RegExp(`(?<![\\w$-])${name.replace(/[$]/g, '\\$&')}(?![\\w$-])`))
    .filter((name) => before.some((text) => name.test(text)) && !now.some((text) => name.test(text)));
  const byValue = valuesTakenAway(title)
    .filter((value) => before.some((text) => quoted(value).test(text)) && !now.some((text) => known(value).test(text)))
    .map(quoted);
  const topics = stemsOf(title.replace(declaresRemoval, ''));
  // `renew`, where the title says renewals.
  const isTopic = (text: string): boolean =>
    [...stemsOf(text)].some(
      (word) => topics.has(word) || [...topics].some((topic) => word.length >= 5 && topic.startsWith(word)),
    );
  const named = new Set(title.match(/[A-Za-z_$][\w$]{2,}/g));
  // What it says of itself is about the same, by more than one word.
  const saysAs = (text: string, at: number): boolean =>
    [...stemsOf(docOf(text, at))].filter((word) => topics.has(word)).length >= 2;
  const gone = new Set<string>();
  // What is put in the place of something is no removal of whatever has to do with it.
  for (const { path, status } of removes ? touched : []) {
    const text = against.text(path) ?? '';
    for (const match of text.matchAll(definition)) {
      const name = (match[1] ?? match[2])!;
      if (
        !left.has(name) &&
        (isTopic(name) ||
          named.has(name) ||
          saysAs(text, match.index) ||
          (status === 'removed' && isTopic(posix.basename(path))))
      )
        gone.add(name);
    }
  }
  return {
    uses: (text) =>
      byName.some((name) => name.test(text)) ||
      (gone.size > 0 && (text.match(identifier) ?? []).some((word) => gone.has(word))),
    names: (text) => byValue.some((value) => value.test(text)),
    isCalled: (name) => {
      const shared = [...stemsOf(leaf(name))].filter((word) => topics.has(word)).length;
      return gone.size > 0 && shared >= fewestWords && shared >= topics.size * mostOfThem;
    },
  };
}

/**
 * Tests may be added, renamed and moved. They may not vanish, be skipped or assert less, whatever the change does to the code, but for
 * those of what the work is said to remove, and unless a person hands it in. Seen twice: in what the runner reported on both trees, and in what the changed test files say.
 */
export const weakenedTestsCheck: Check = {
  name: 'weakened-tests',
  category: 'integrity',
  languages: ['*'],
  needs: [],
  purposes: changePurposes,
  async run(context) {
    const { purpose, against, candidate, changes, candidateFacts, baseFacts, restoresFacts, approvedBy } = context;
    if (against === null) return outcome('passed', 'there is no branch yet that could be weakened');
    const findings: Finding[] = [];
    const named = new Set<string>();
    const report = (rule: string, name: string, path: string | null, line: number | null, message: string): void => {
      const key = `${leaf(name)}`;
      if (named.has(key)) return;
      named.add(key);
      findings.push(
        findingOf({
          check: 'weakened-tests',
          rule: `weakened-tests.${rule}`,
          ...(approvedBy === null ? { level: 'error', veto: true, remedy } : { level: 'note' }),
          message: approvedBy === null ? message : `${message} Let through by ${approvedBy}.`,
          path,
          line,
          key: `${rule} ${name}`,
        }),
      );
    };
    const changedTests = changes
      .filter((change) => isTestFile(change.path) && change.status !== 'added')
      .map((change) => change.path);
    const nowAll = testsOf(candidate, candidate.files.keys());
    const before = testsOf(against, changedTests);
    const knownLeaves = new Set(before.map((test) => leaf(test.name)));
    const touched = new Set(changes.map((change) => change.path));
    const freshTests = nowAll.filter((test) => touched.has(test.path) && !knownLeaves.has(leaf(test.name)));
    const nowBodies = new Set(nowAll.filter((test) => !test.skipped && test.assertions > 0).map((test) => test.body));
    // One that only has another name asks for as much as it did, however it asks; it stands for no second one, and it has to run.
    const askedBy = ({ body, rows }: PlacedTest): string => [body, rows].join('\0');
    const sameByOtherNames = new Map<string, PlacedTest[]>();
    for (const test of freshTests)
      if (!test.skipped && test.assertions === 0 && /\w/.test(test.body))
        sameByOtherNames.set(askedBy(test), [...(sameByOtherNames.get(askedBy(test)) ?? []), test]);
    const ran = candidateFacts?.tests?.detailed === true ? candidateFacts.tests.cases : null;
    const isThereByAnotherName = (test: PlacedTest): boolean => {
      const now = sameByOtherNames.get(askedBy(test))?.shift();
      return (
        now !== undefined &&
        (ran?.some(
          ({ name, status, file }) =>
            status === 'passed' && (file === null || file === now.path) && isCaseOf(now.name, name),
        ) ??
          true)
      );
    };
    const counterparts = counterpartsOf(
      before,
      nowAll.filter(({ path }) => touched.has(path)),
    );
    // A test of what is gone has nothing to ask any more; that it goes, the work itself has to say.
    const gone = declaredGone(context);
    const went = new Set<string>();
    // One whose promises became tests of other names, or rows of a table; as it was written before, it has to hold still.
    const reshaped = new Set<string>();
    const isAskedElsewhere = async (test: PlacedTest): Promise<boolean> => {
      if (test.assertions === 0 || test.asserted.length < test.assertions) return false;
      if (!test.asserted.every((each) => stillAsked(each, freshTests))) return false;
      if (!altersBehaviour(context)) return true;
      const former = await context.trials.formerTests();
      return former !== null && ![...former.failing, ...former.goneFailing].some((key) => isCaseOf(test.name, key));
    };
    // Nothing that the code does asked for it.
    const heldBefore = async (test: PlacedTest): Promise<boolean> => {
      if (!altersBehaviour(context)) return true;
      const former = await context.trials.formerTests();
      return former !== null && ![...former.failing, ...former.missing].some((key) => isCaseOf(test.name, key));
    };
    /** As it was written before, it does not hold on what the code is now, or cannot even be run on it. */
    const failsNow = async (
      test: PlacedTest,
      how: readonly ('goneFailing' | 'goneMissing')[] = ['goneFailing', 'goneMissing'],
    ): Promise<boolean> => {
      const former = await context.trials.formerTests();
      return how.some((each) => former?.[each].some((key) => isCaseOf(test.name, key)) === true);
    };
    const rewritten: RewrittenTest[] = [];
    const matched = new Set(counterparts.values());
    const renamed = renamedAmong(
      before.filter((test) => !test.skipped && !counterparts.has(test) && !gone.uses(test.body)),
      freshTests.filter((test) => !matched.has(test)),
    );
    for (const [test, now] of renamed) {
      if (now.body === test.body || asksForAllOf(now, test)) continue;
      // What it asked for is asked by nobody any more: either it does not hold any more, and somebody has to stand for that, or it is gone.
      if (!altersBehaviour(context) || !(await failsNow(test))) renamed.delete(test);
    }
    for (const test of renamed.keys()) reshaped.add(test.name);
    for (const test of before) {
      if (test.skipped) continue;
      const now = counterparts.get(test) ?? renamed.get(test);
      if (now === undefined) {
        if (nowBodies.has(test.body)) continue; // only its name changed
        if (isThereByAnotherName(test)) {
          reshaped.add(test.name);
          continue;
        }
        if (
          gone.uses(test.body) ||
          (gone.isCalled(test.name) && (await failsNow(test))) ||
          (gone.names(test.body) && (await failsNow(test, ['goneFailing'])))
        ) {
          went.add(test.name);
          continue;
        }
        if (await isAskedElsewhere(test)) {
          reshaped.add(test.name);
          continue;
        }
        report('removed', test.name, test.path, null, `The test “${test.name}” of ${test.path} is gone.`);
      } else if (now.skipped) {
        report('skipped', test.name, now.path, now.line, `The test “${test.name}” is skipped now.`);
      } else if (
        now.assertions + awaitedInstead(test, now) < test.assertions &&
        !(
          test.asserted.length >= test.assertions &&
          test.asserted.every((each) => stillAsked(each, [now, ...freshTests]) || gone.uses(each.subject))
        )
      ) {
        const what =
          now.assertions === 0 && now.trivialAssertions > 0
            ? 'now asserts only what is always true'
            : `asserts less: ${now.assertions} assertion${now.assertions === 1 ? '' : 's'} instead of ${test.assertions}`;
        report(
          now.assertions === 0 ? 'always_true' : 'assertions_removed',
          test.name,
          now.path,
          now.line,
          `The test “${test.name}” ${what}.`,
        );
      } else {
        // The same thing asked for, and less wanted of it; or something else wanted where the test is the same otherwise.
        const left = [...now.asserted];
        const changed = test.asserted.filter((was) => {
          const same = left.findIndex(
            (each) => each.subject === was.subject && each.expected === was.expected && each.strength >= was.strength,
          );
          if (same >= 0) left.splice(same, 1);
          return same < 0;
        });
        for (const was of changed) {
          const there = left.findIndex((each) => each.subject === was.subject);
          const isAskedOtherwise = left.some(
            (each) =>
              asksAsMuch(was, each) &&
              !test.asserted.some(({ subject, expected }) => subject === each.subject && expected === each.expected),
          );
          const at = there >= 0 || isAskedOtherwise ? there : left.findIndex((each) => asksLessOf(was, each));
          const is = left[at];
          if (is === undefined) continue;
          left.splice(at, 1);
          if (
            is.strength < was.strength ||
            answersItself(was, is) ||
            (wantsPartOf(was, is) && (await heldBefore(test)))
          )
            report(
              'loosened',
              test.name,
              now.path,
              now.line,
              `The test “${test.name}” wants less of ${was.subject.slice(0, 80)} than before.`,
            );
          else if (is.expected !== was.expected && is.strength === was.strength)
            rewritten.push({ test: now, was: was.expected, is: is.expected });
        }
      }
    }
    const onlyBefore = new Set(
      testsOf(against, against.files.keys())
        .filter((test) => test.only)
        .map((test) => test.name),
    );
    for (const test of nowAll) {
      if (test.only && !onlyBefore.has(test.name))
        report(
          'only',
          test.name,
          test.path,
          test.line,
          `“${test.name}” is marked “only”, which switches every other test off.`,
        );
    }
    const wasSuite = (purpose === 'revert' ? await restoresFacts() : baseFacts)?.tests ?? null;
    const isSuite = candidateFacts?.tests ?? null;
    if (wasSuite?.detailed === true && isSuite?.detailed === true) {
      const isNow = byName(isSuite.cases);
      const casesOf = ({ name: written }: PlacedTest, { cases }: { readonly cases: readonly TestCase[] }): number =>
        cases.filter(({ name }) => isCaseOf(written, name)).length;
      // Its body is kept, under another name; or under its own, and no row of its table is gone without another in its place.
      const isOnlyCalledOtherwise = (each: PlacedTest): boolean => {
        const there = counterparts.get(each);
        return nowBodies.has(each.body) && (there === undefined || casesOf(there, isSuite) >= casesOf(each, wasSuite));
      };
      const unreadable = new Set(isSuite.cases.filter((each) => each.status === 'failed').map((each) => each.file));
      for (const [key, test] of byName(wasSuite.cases)) {
        if (test.status === 'skipped') continue;
        const now = isNow.get(key);
        // The case that says that a file could not be run at all goes when the file is mended.
        if (now === undefined && (test.name === test.file || / (can be run|ends well)$/.test(test.name))) continue;
        // A file that fails as a whole hides its cases; that failure is charged by the tests check.
        if (now === undefined && (unreadable.has(test.file) || isSuite.timedOut)) continue;
        if (now === undefined && before.some((each) => isCaseOf(each.name, test.name) && isOnlyCalledOtherwise(each)))
          continue;
        if (now === undefined && [...went, ...reshaped].some((name) => isCaseOf(name, test.name))) continue;
        // One that is fed from a table now goes by its name and the row.
        if (now === undefined && [...isNow.keys()].some((each) => each.startsWith(`${test.name}[`))) continue;
        if (now === undefined)
          report(
            'removed',
            test.name,
            test.file,
            null,
            `The test “${test.name}”${test.file === null ? '' : ` of ${test.file}`} ran on the branch and no longer runs.`,
          );
        else if (now.status === 'skipped')
          report('skipped', test.name, now.file, null, `The test “${test.name}” ran on the branch and is skipped now.`);
      }
    }
    const weak = changes
      .filter((change) => change.status !== 'removed' && isTestFile(change.path))
      .map((change) => change.path);
    const beforeNames = new Set(before.map((test) => test.name));
    for (const test of testsOf(candidate, weak)) {
      if (!beforeNames.has(test.name) && !test.skipped && test.assertions === 0 && test.trivialAssertions > 0) {
        findings.push(
          findingOf({
            check: 'weakened-tests',
            rule: 'weakened-tests.proves_nothing',
            level: 'warning',
            message: `The new test “${test.name}” asserts only what is always true.`,
            path: test.path,
            line: test.line,
            remedy: 'Assert what the code answers.',
          }),
        );
      }
    }
    findings.push(
      ...(await rewrittenExpectations(context, against, { before, now: nowAll, changedTests, rewritten, renamed })),
    );
    const vetoes = findings.filter((each) => each.veto).length;
    const summary =
      vetoes > 0
        ? `${vetoes} test${vetoes === 1 ? '' : 's'} weakened`
        : approvedBy !== null && named.size > 0
          ? `${named.size} test${named.size === 1 ? '' : 's'} weakened, let through by ${approvedBy}`
          : 'no test is gone, skipped or asserts less';
    return outcome(
      vetoes > 0 || findings.some((each) => each.level === 'error') ? 'failed' : 'passed',
      went.size > 0 ? `${summary}; ${went.size} went with what they were about, as the work says` : summary,
      findings,
      { weakened: vetoes },
    );
  },
};
