import type { Finding } from '@muster/contracts';
import { byName } from '../project/test-runner.ts';
import { isScript, isTestFile } from '../source/paths.ts';
import { stillAsked } from '../source/test-cases.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';
import { altersBehaviour, contradicted, isCaseOf, leaf, losesValues, snapshotsOf, testOfSnapshot, testsOf, valuesOutside, Vouchers, type PlacedTest } from './rewritten.ts'; // prettier-ignore
import { isOfTests } from './trials.ts';

const remedy =
  'Put the test back as it was and correct the code instead. If the test itself is wrong, a person has to say so.';

/**
 * Tests may be added, renamed and moved. They may not vanish, be skipped or assert less, whatever the change does to the code.
 * Seen twice: in what the runner reported on both trees, and in what the changed test files say.
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
          level: 'error',
          veto: true,
          message,
          path,
          line,
          remedy,
          key: `${rule} ${name}`,
        }),
      );
    };
    const changedTests = changes
      .filter((change) => isTestFile(change.path) && change.status !== 'added')
      .map((change) => change.path);
    const nowAll = testsOf(candidate, candidate.files.keys());
    const nowNamed = new Map(nowAll.map((test) => [test.name, test]));
    const nowLeaves = new Map(nowAll.map((test) => [leaf(test.name), test]));
    const nowBodies = new Set(nowAll.filter((test) => !test.skipped && test.assertions > 0).map((test) => test.body));
    const inPlace = new Map(nowAll.map((test) => [`${test.path}\n${test.name}`, test]));
    const before = testsOf(against, changedTests);
    const knownLeaves = new Set(before.map((test) => leaf(test.name)));
    const touched = new Set(changes.map((change) => change.path));
    const freshTests = nowAll.filter((test) => touched.has(test.path) && !knownLeaves.has(leaf(test.name)));
    const rewritten: { test: PlacedTest; was: string; is: string }[] = [];
    for (const test of before) {
      if (test.skipped) continue;
      const now =
        inPlace.get(`${test.path}\n${test.name}`) ?? nowNamed.get(test.name) ?? nowLeaves.get(leaf(test.name));
      if (now === undefined) {
        if (nowBodies.has(test.body)) continue; // only its name changed
        report('removed', test.name, test.path, null, `The test “${test.name}” of ${test.path} is gone.`);
      } else if (now.skipped) {
        report('skipped', test.name, now.path, now.line, `The test “${test.name}” is skipped now.`);
      } else if (
        now.assertions < test.assertions &&
        !(
          test.asserted.length >= test.assertions &&
          test.asserted.every((each) => stillAsked(each, [now, ...freshTests]))
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
        for (const was of test.asserted) {
          const same = left.findIndex(
            (each) => each.subject === was.subject && each.expected === was.expected && each.strength >= was.strength,
          );
          if (same >= 0) left.splice(same, 1);
          else {
            const at = left.findIndex((each) => each.subject === was.subject);
            const is = left[at];
            if (is === undefined) continue;
            left.splice(at, 1);
            if (is.strength < was.strength)
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
      const unreadable = new Set(isSuite.cases.filter((each) => each.status === 'failed').map((each) => each.file));
      for (const [key, test] of byName(wasSuite.cases)) {
        if (test.status === 'skipped') continue;
        const now = isNow.get(key);
        // The case that says that a file could not be run at all goes when the file is mended.
        if (now === undefined && (test.name === test.file || / (can be run|ends well)$/.test(test.name))) continue;
        // A file that fails as a whole hides its cases; that failure is charged by the tests check. So is a case renamed with its body kept.
        if (now === undefined && (unreadable.has(test.file) || isSuite.timedOut)) continue;
        if (now === undefined && before.some((each) => isCaseOf(each.name, test.name) && nowBodies.has(each.body)))
          continue;
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
    // Who changes what the code does has to change what its tests want. Somewhere it is said then, about the same thing: in a test beside it, or in words.
    const product = altersBehaviour(context) && purpose !== 'revert';
    let vouchers: Vouchers | undefined;
    const former = product ? await contradicted(context) : null;
    const holds = (test: PlacedTest): boolean =>
      former !== null && ![...former.failing, ...former.missing].some((key) => isCaseOf(test.name, key));
    const told = new Set<string>();
    const tell = async (name: string, message: string, path: string | null, line: number | null, is: string, may: boolean): Promise<void> => {
      const missing = may ? null : await (vouchers ??= new Vouchers(context)).missing({ name, is });
      const approved = !may && approvedBy !== null ? ` Let through by ${approvedBy}.` : '';
      findings.push(
        findingOf({
          check: 'weakened-tests',
          rule: 'weakened-tests.expectation_rewritten',
          level: missing === null ? 'note' : 'error',
          message: `${message}${missing === null ? approved === '' ? '.' : `.${approved}` : `; ${missing}.`}`,
          path,
          line,
          remedy:
            'Put the old expectation back and correct the code; where the new answer is meant, add a test for it, or say so in the changelog.',
          key: `${name} ${message}`,
        }),
      );
    }; // prettier-ignore
    for (const { test, was, is } of rewritten) {
      told.add(leaf(test.name));
      const message = `The test “${test.name}” wanted ${was.slice(0, 80)} and wants ${is.slice(0, 80)} now`;
      await tell(test.name, message, test.path, test.line, is, !product || holds(test));
    }
    // Whatever it looks like in the text: what the test wanted before does not hold any more.
    const cases = byName(candidateFacts?.tests?.cases ?? []);
    const beside = changes.filter(({ path, status }) => status !== 'added' && isOfTests(path) && !(isTestFile(path) && isScript(path))); // prettier-ignore
    const inSnapshots = new Set(
      beside.flatMap(({ path }) => {
        const now = snapshotsOf(candidate, path);
        return [...snapshotsOf(against, path)].filter(([name, text]) => now.has(name) && now.get(name) !== text).map(([name]) => testOfSnapshot(name)); // prettier-ignore
      }),
    );
    for (const key of former?.failing ?? []) {
      const then = before.find((each) => isCaseOf(each.name, key));
      const now = nowAll.find((each) => isCaseOf(each.name, key) && (then === undefined || each.path === then.path));
      const name = now?.name ?? key;
      if (told.has(leaf(name)) || [...inSnapshots].some((each) => isCaseOf(each, key) || isCaseOf(name, each)))
        continue;
      const own = then !== undefined && now !== undefined && then.body === now.body && then.rows === now.rows;
      const lost =
        then === undefined || now === undefined || own
          ? beside.length > 0 || changedTests.some((path) => losesValues(valuesOutside(against, path), valuesOutside(candidate, path)))
          : losesValues(`${then.body} ${then.rows}`, `${now.body} ${now.rows}`); // prettier-ignore
      if (!lost) continue;
      told.add(leaf(name));
      const path = now?.path ?? cases.get(key)?.file ?? null;
      const message = `The test “${name}” fails as it was written before; what it wants, or compares with, was replaced`;
      await tell(name, message, path, now?.line ?? null, now === undefined ? '' : `${now.body} ${now.rows}`, false);
    }
    const vetoes = findings.filter((each) => each.veto).length;
    return outcome(
      vetoes > 0 || findings.some((each) => each.level === 'error') ? 'failed' : 'passed',
      vetoes > 0 ? `${vetoes} test${vetoes === 1 ? '' : 's'} weakened` : 'no test is gone, skipped or asserts less',
      findings,
      { weakened: vetoes },
    );
  },
};
