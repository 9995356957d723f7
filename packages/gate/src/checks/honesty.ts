import type { Finding } from '@muster/contracts';
import { byName } from '../project/test-runner.ts';
import type { SuiteOutcome } from '../project/tree-run.ts';
import { functionsIn, type SourceFunction } from '../source/functions.ts';
import { isProductSource } from '../source/paths.ts';
import { findingOf, outcome, type Check } from './check.ts';

/** More would keep a large change in the gate for hours; what was left out is said. */
const mostFunctions = 25;
const lanes = 2;

interface Suspect extends SourceFunction {
  path: string;
}

type Trial = 'noticed' | 'unnoticed' | 'unknown';

/** A test noticed when one fails that did not fail without the mutation, or the suite no longer ends. */
export function noticed(before: SuiteOutcome, after: SuiteOutcome): Trial {
  if (after.timedOut) return 'noticed';
  if (!before.detailed) return !before.ok ? 'unknown' : after.ok ? 'unnoticed' : 'noticed';
  if (!after.detailed) return after.ok ? 'unnoticed' : before.ok ? 'noticed' : 'unknown';
  const known = byName(before.cases);
  const failing = [...byName(after.cases)].some(
    ([key, test]) => test.status === 'failed' && known.get(key)?.status !== 'failed',
  );
  return failing ? 'noticed' : 'unnoticed';
}

/**
 * Does the change do what it claims? Its words are not asked. Every function that it adds or changes is emptied, one at a time,
 * and the project's own tests must notice: a stub, and real code that no test looks at, read the same from outside.
 */
export const honestyCheck: Check = {
  name: 'honesty',
  category: 'honesty',
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  async run({ policy, candidate, against, changes, candidateFacts, baseFacts, run, signal, progress }) {
    if (!policy.checks.honesty) return outcome('not_run', 'switched off in muster.yaml');
    const suspects: Suspect[] = [];
    for (const { path, status } of changes) {
      if (status === 'removed' || !isProductSource(path)) continue;
      const text = candidate.text(path);
      if (text === null) continue;
      const before = new Set(functionsIn(path, against?.text(path) ?? '').map((each) => `${each.name} ${each.tokens}`));
      suspects.push(
        ...functionsIn(path, text)
          .filter((each) => !before.has(`${each.name} ${each.tokens}`))
          .map((each) => ({ ...each, path })),
      );
    }
    if (suspects.length === 0) return outcome('passed', 'no function was added or changed');
    const findings: Finding[] = [];
    for (const each of suspects) {
      if (each.placeholder !== null) {
        findings.push(
          findingOf({
            check: 'honesty',
            rule: 'honesty.placeholder',
            level: 'error',
            message: `${each.name} says itself that it is not done: ${each.placeholder}`,
            path: each.path,
            line: each.line,
            remedy: 'Write the function, or leave it out of the change.',
            key: each.name,
          }),
        );
      }
      if (each.shape !== 'full') {
        findings.push(
          findingOf({
            check: 'honesty',
            rule: 'honesty.stub',
            level: 'warning',
            message: `${each.name} ${each.shape === 'empty' ? 'has an empty body' : 'answers a constant whatever it is given'}.`,
            path: each.path,
            line: each.line,
            remedy: 'Write the function, or say it as a constant.',
            key: each.name,
          }),
        );
      }
    }
    const metrics: Record<string, number> = { functions: suspects.length };
    const suite = candidateFacts?.tests ?? null;
    if (suite === null || run === null)
      return outcome('not_run', 'there are no tests that could notice an emptied function', findings, metrics);
    if (!suite.detailed && !suite.ok)
      return outcome(
        'inconclusive',
        'the tests fail as they are, so they cannot show which function they look at',
        findings,
        metrics,
      );

    const beforeChange = byName(baseFacts?.tests?.cases ?? []);
    if (
      [...byName(suite.cases)].some(
        ([key, test]) => test.status === 'failed' && beforeChange.get(key)?.status !== 'failed',
      )
    ) {
      return outcome(
        'inconclusive',
        'tests fail because of this change; functions are emptied once they pass',
        findings,
        metrics,
      );
    }

    // Stubs first: where there are more functions than runs, they are what this is for.
    const order = [...suspects].sort((a, b) => Number(a.shape === 'full') - Number(b.shape === 'full'));
    const tried = order.slice(0, mostFunctions);
    const timeoutMs = Math.min(policy.timeoutSeconds * 1000, Math.max(30_000, suite.ms * 4 + 10_000));
    const deadline = performance.now() + policy.timeoutSeconds * 1000;
    // A control first: the same run with nothing emptied. If that already counts as noticed, it is the way of running that is
    // noticed, a flag that this runner does not know for instance, and the trials would prove nothing.
    const control = async (stopAtFirst: boolean): Promise<boolean> => {
      const untouched = new Map([[tried[0]!.path, candidate.text(tried[0]!.path) ?? '']]);
      const again = await run.tests({ overrides: untouched, stopAtFirst, timeoutMs });
      return again !== null && noticed(suite, again) === 'unnoticed';
    };
    // Where something fails anyway, a runner that stops at the first failure stops there, before any test that could notice.
    const stopAtFirst = suite.ok && (await control(true));
    if (!stopAtFirst && !(await control(false))) {
      return outcome(
        'inconclusive',
        'the tests fail when they are run once more with nothing changed, so they cannot show which function they look at',
        findings,
        metrics,
      );
    }
    const trials = new Map<Suspect, Trial>();
    const queue = [...tried];
    const lane = async (): Promise<void> => {
      for (let each = queue.shift(); each !== undefined; each = queue.shift()) {
        signal?.throwIfAborted();
        if (performance.now() > deadline) return;
        const overrides = new Map([[each.path, each.emptied]]);
        let after = await run.tests({ overrides, stopAtFirst, timeoutMs });
        // A busy machine is no test: only a suite that never ends has noticed.
        if (after?.timedOut === true)
          after = await run.tests({
            overrides,
            stopAtFirst,
            timeoutMs: Math.min(policy.timeoutSeconds * 1000, timeoutMs * 3),
          });
        trials.set(each, after === null ? 'unknown' : noticed(suite, after));
        progress(trials.size / tried.length, `emptied ${trials.size} of ${tried.length} changed functions`);
      }
    };
    await Promise.all(Array.from({ length: Math.min(lanes, tried.length) }, lane));

    const unnoticed = tried.filter((each) => trials.get(each) === 'unnoticed');
    for (const each of unnoticed) {
      const what =
        each.shape === 'empty'
          ? `has an empty body, and nothing notices when it throws`
          : `can be emptied and every test still passes`;
      findings.push(
        findingOf({
          check: 'honesty',
          rule: 'honesty.untested_function',
          level: 'error',
          veto: true,
          message: `${each.name} (${each.path}:${each.line}) ${what}.`,
          path: each.path,
          line: each.line,
          remedy: `Add a test that fails when ${each.name} does nothing, and make it pass with real code.`,
          key: each.name,
        }),
      );
    }
    const unknown = suspects.length - [...trials.values()].filter((each) => each !== 'unknown').length;
    metrics['emptied'] = trials.size;
    metrics['unnoticed'] = unnoticed.length;
    metrics['left_out'] = unknown;
    const rest =
      unknown > 0
        ? `; ${unknown} of ${suspects.length} could not be tried within ${mostFunctions} runs and ${policy.timeoutSeconds} s`
        : '';
    if (unnoticed.length > 0) {
      return outcome(
        'failed',
        `no test notices when ${unnoticed
          .slice(0, 5)
          .map((each) => each.name)
          .join(', ')} ${unnoticed.length === 1 ? 'is' : 'are'} emptied${rest}`,
        findings,
        metrics,
      );
    }
    const placeholders = findings.some((each) => each.rule === 'honesty.placeholder');
    const nothingTried = ![...trials.values()].some((each) => each !== 'unknown');
    return outcome(
      placeholders ? 'failed' : nothingTried ? 'inconclusive' : 'passed',
      `a test notices each of ${trials.size} emptied function${trials.size === 1 ? '' : 's'}${rest}`,
      findings,
      metrics,
    );
  },
};
