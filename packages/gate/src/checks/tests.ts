import type { TestCase } from '@muster/contracts';
import { byName } from '../project/test-runner.ts';
import { everyPurpose, findingOf, firstLine, outcome, type Check, type CheckOutcome } from './check.ts';

const placeOf = (test: TestCase): string => (test.file === null ? '' : ` (${test.file})`);

/** A test that fails by chance one time in twenty is taken for broken one time in 160,000. */
const rerunsOfFailures = 3;
/** Where more fails than this, it is no flake, and running it all again tells nothing. */
const mostExcusedAgain = 50;

export const testsCheck: Check = {
  name: 'tests',
  category: 'tests',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: everyPurpose,
  async run({ purpose, policy, candidateFacts, baseFacts, restoresFacts, run, baseRun, signal }) {
    const suite = candidateFacts?.tests ?? null;
    if (suite === null || run === null) {
      return outcome(
        'not_run',
        candidateFacts?.notes.find((note) => note.startsWith('tests')) ??
          (policy.checks.test === false
            ? 'switched off in muster.yaml'
            : 'the project has no tests that the gate knows how to run; add a `test` script or name a command in muster.yaml'),
      );
    }
    const now = byName(suite.cases);
    const before = byName(baseFacts?.tests?.cases ?? []);
    const count = (status: TestCase['status']): number => suite.cases.filter((each) => each.status === status).length;
    const metrics: Record<string, number> = {
      total: suite.cases.length,
      passed: count('passed'),
      failed: count('failed'),
      skipped: count('skipped'),
      ms: suite.ms,
      peakMemoryMb: suite.peakMemoryMb ?? 0,
      writtenMb: suite.writtenMb ?? 0,
    };
    const tool = { name: run.commands.tests?.runner ?? 'command', version: process.version };
    const counted = `${metrics['passed']} of ${suite.cases.length} passed`;
    if (purpose === 'base') return outcome(suite.ok ? 'passed' : 'failed', counted, [], metrics, tool);

    const refused = (rule: string, message: string, remedy: string): CheckOutcome =>
      outcome(
        'failed',
        message,
        [findingOf({ check: 'tests', rule: `tampering.${rule}`, level: 'error', veto: true, message, remedy })],
        metrics,
        tool,
      );
    const rewritten = candidateFacts?.rewritten?.filter((path) => baseFacts?.rewritten?.includes(path) !== true) ?? [];
    if (rewritten.length > 0)
      return refused(
        'rewritten_tests',
        `The build writes other tests in place of those in ${rewritten.slice(0, 5).join(', ')}.`,
        'Take out of the build what touches tests.',
      );
    if (suite.forged != null && baseFacts?.tests?.forged == null)
      return refused(
        'forged_report',
        `The report of the tests is not to be believed: ${suite.forged}.`,
        'Take out what writes the report; results are reported by the runner.',
      );
    // A runner that ended well and did not finish was ended early, by something that it ran.
    const wasDetailed = baseFacts?.tests?.detailed === true;
    if (
      (wasDetailed && !suite.detailed && suite.ok) ||
      (suite.cutShort === true && baseFacts?.tests?.cutShort !== true)
    )
      return refused(
        'ended_early',
        `The tests end with success before the runner has finished${wasDetailed ? `; on the branch it reports ${baseFacts?.tests?.cases.length} cases` : ''}.`,
        'Find what ends the process, such as a call of process.exit, and take it out.',
      );

    const failingNow = [...now].filter(([, test]) => test.status === 'failed');
    let charged = failingNow.filter(([key]) => before.get(key)?.status !== 'failed');
    // What failed on the branch may have been a flake there; nothing real is excused by it.
    const excused = failingNow.filter(([key]) => before.get(key)?.status === 'failed');
    if (excused.length > 0 && excused.length <= mostExcusedAgain) {
      const onBase = byName((await (await baseRun())?.tests())?.cases ?? []);
      charged = [...charged, ...excused.filter(([key]) => onBase.get(key)?.status === 'passed')];
    }
    if (charged.length > 0 && purpose === 'revert') {
      // What failed before the landing may fail again when the landing is taken back.
      const restored = byName((await restoresFacts())?.tests?.cases ?? []);
      charged = charged.filter(([key]) => restored.get(key)?.status !== 'failed');
    }
    // A test that fails every time fails; one that passes now and then is a flake, here or on the branch.
    const failedTimes = new Map(charged.map(([key]) => [key, 1]));
    const ranTimes = new Map(charged.map(([key]) => [key, 1]));
    for (
      let round = 0;
      round < rerunsOfFailures && charged.some(([key]) => failedTimes.get(key) === ranTimes.get(key));
      round++
    ) {
      signal?.throwIfAborted();
      const again = byName((await run.tests())?.cases ?? []);
      for (const [key] of charged) {
        ranTimes.set(key, ranTimes.get(key)! + 1);
        if (again.get(key)?.status !== 'passed') failedTimes.set(key, failedTimes.get(key)! + 1);
      }
    }
    const flakes = charged.filter(([key]) => failedTimes.get(key) !== ranTimes.get(key));
    charged = charged.filter(([key]) => failedTimes.get(key) === ranTimes.get(key));
    if (charged.length > 0 && charged.length <= mostExcusedAgain) {
      // Fails here each time; does it on the branch, too, when it is asked as often?
      const alsoThere = await baseRun();
      if (alsoThere !== null && charged.some(([key]) => before.get(key)?.status === 'passed')) {
        const onBase = byName((await alsoThere.tests())?.cases ?? []);
        const there = charged.filter(([key]) => onBase.get(key)?.status === 'failed');
        if (there.length > 0) {
          const twice = byName((await alsoThere.tests())?.cases ?? []);
          const everywhere = new Set(there.filter(([key]) => twice.get(key)?.status === 'failed').map(([key]) => key));
          metrics['failing_everywhere'] = everywhere.size;
          charged = charged.filter(([key]) => !everywhere.has(key));
        }
      }
    }
    const flaky = flakes.map(([, test]) => test.name);
    const today = new Date().toISOString().slice(0, 10);
    metrics['charged'] = charged.length;
    metrics['flaky'] = flaky.length;
    const notes = flaky.map((name) => {
      const known = policy.flaky.find((each) => name === each.test || name.endsWith(` > ${each.test}`));
      const expired = known !== undefined && known.until < today;
      const owner =
        known === undefined
          ? ''
          : expired
            ? ` ${known.owner} was to mend it by ${known.until}.`
            : ` ${known.owner} mends it by ${known.until}.`;
      return findingOf({
        check: 'tests',
        rule: expired ? 'tests.flaky_overdue' : known === undefined ? 'tests.flaky' : 'tests.flaky_known',
        level: 'note',
        message: `“${name}” failed and passed when it was run again; it is not charged.${owner}`,
        remedy: 'Find out what it depends on.',
      });
    });
    if (charged.length > 0) {
      const findings = charged.map(([key, test]) => {
        const known = before.get(key);
        const what =
          known === undefined
            ? 'is new and fails'
            : known.status === 'skipped'
              ? 'was skipped before and fails'
              : 'passed on the branch and now fails';
        return findingOf({
          check: 'tests',
          rule: known === undefined ? 'tests.new_failure' : 'tests.broken',
          level: 'error',
          veto: true,
          message: `The test “${test.name}”${placeOf(test)} ${what}: ${firstLine(test.message)}`,
          path: test.file,
          remedy: 'Make the test pass by correcting the code, not the test.',
          key: test.name,
        });
      });
      return outcome(
        'failed',
        `${counted}; ${charged.length} failing because of this change: ${charged
          .slice(0, 5)
          .map(([, test]) => `“${test.name}”${placeOf(test)}`)
          .join(', ')}`,
        [...findings, ...notes],
        metrics,
        tool,
      );
    }
    const failing = (metrics['failed'] ?? 0) - flaky.length;
    return outcome(
      'passed',
      `${counted}${failing > 0 ? `; ${failing} failed on the branch already` : ''}${flaky.length > 0 ? `; ${flaky.length} flaky` : ''}`,
      notes,
      metrics,
      tool,
    );
  },
};
