import type { TestCase } from '@muster/contracts';
import { byName } from '../project/test-runner.ts';
import { everyPurpose, findingOf, firstLine, outcome, type Check } from './check.ts';

const placeOf = (test: TestCase): string => (test.file === null ? '' : ` (${test.file})`);

export const testsCheck: Check = {
  name: 'tests',
  category: 'tests',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: everyPurpose,
  async run({ purpose, policy, candidateFacts, baseFacts, restoresFacts, run }) {
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
    };
    const tool = { name: run.commands.tests?.runner ?? 'command', version: process.version };
    const counted = `${metrics['passed']} of ${suite.cases.length} passed`;
    if (purpose === 'base') return outcome(suite.ok ? 'passed' : 'failed', counted, [], metrics, tool);

    // A runner that ended well and told nothing was ended early, by something that it ran.
    if (baseFacts?.tests?.detailed === true && !suite.detailed && suite.ok) {
      return outcome(
        'failed',
        'the runner ended before it reported its cases',
        [
          findingOf({
            check: 'tests',
            rule: 'tests.no_report',
            level: 'error',
            veto: true,
            message: `The runner reported ${baseFacts.tests.cases.length} cases on the branch; here it ends with success before it reports any.`,
            remedy: 'Find what ends the process, such as a call of process.exit, and take it out.',
          }),
        ],
        metrics,
        tool,
      );
    }

    let charged = [...now].filter(([key, test]) => test.status === 'failed' && before.get(key)?.status !== 'failed');
    if (charged.length > 0 && purpose === 'revert') {
      // What failed before the landing may fail again when the landing is taken back.
      const restored = byName((await restoresFacts())?.tests?.cases ?? []);
      charged = charged.filter(([key]) => restored.get(key)?.status !== 'failed');
    }
    let flaky: string[] = [];
    if (charged.length > 0) {
      const again = byName((await run.tests())?.cases ?? []);
      flaky = charged.filter(([key]) => again.get(key)?.status === 'passed').map(([, test]) => test.name);
      charged = charged.filter(([key]) => again.get(key)?.status !== 'passed');
    }
    metrics['charged'] = charged.length;
    metrics['flaky'] = flaky.length;
    const notes = flaky.map((name) =>
      findingOf({
        check: 'tests',
        rule: 'tests.flaky',
        level: 'note',
        message: `“${name}” failed once and passed when it was run again; it is not charged.`,
        remedy: 'Find out what it depends on.',
      }),
    );
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
