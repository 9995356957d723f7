import type { Finding } from '@muster/contracts';
import { byName } from '../project/test-runner.ts';
import { isTestFile } from '../source/paths.ts';
import { stillAsked } from '../source/test-cases.ts';
import { changePurposes, findingOf, outcome, type Check } from './check.ts';
import { isCaseOf, leaf, testsOf } from './rewritten.ts';
import { rewrittenExpectations, type RewrittenTest } from './rewritten-expectations.ts';

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
    const { purpose, against, candidate, changes, candidateFacts, baseFacts, restoresFacts } = context;
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
    const rewritten: RewrittenTest[] = [];
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
    findings.push(...(await rewrittenExpectations(context, against, { before, now: nowAll, changedTests, rewritten })));
    const vetoes = findings.filter((each) => each.veto).length;
    return outcome(
      vetoes > 0 || findings.some((each) => each.level === 'error') ? 'failed' : 'passed',
      vetoes > 0 ? `${vetoes} test${vetoes === 1 ? '' : 's'} weakened` : 'no test is gone, skipped or asserts less',
      findings,
      { weakened: vetoes },
    );
  },
};
