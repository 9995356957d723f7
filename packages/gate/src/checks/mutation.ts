import type { Finding } from '@muster/contracts';
import { noticed } from './honesty.ts';
import { mutantsOf, type Mutant } from '../source/mutants.ts';
import { isProductSource } from '../source/paths.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { findingOf, outcome, type Check } from './check.ts';

/** Enough to tell tests that look from tests that do not; each costs a run of the suite. */
const tried = 6;
const lanes = 2;

interface Placed extends Mutant {
  path: string;
}

/** Small things done otherwise on changed lines: do the tests notice? A sample, drawn by lot, the same for the same change. */
export const mutationCheck: Check = {
  name: 'mutation',
  category: 'tests',
  languages: ['typescript', 'javascript', 'python'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  async run({ policy, candidate, changes, candidateFacts, run, draw, signal }) {
    if (!policy.checks.mutation) return outcome('not_run', 'switched off in muster.yaml');
    const all = changes
      .filter(
        ({ path, status }) =>
          status !== 'removed' && isProductSource(path) && (candidate.text(path)?.length ?? Infinity) < mostSourceBytes,
      )
      .flatMap(({ path, addedLines }): Placed[] =>
        mutantsOf(path, candidate.text(path) ?? '', addedLines).map((each) => ({ ...each, path })),
      );
    if (all.length === 0) return outcome('passed', 'nothing on the changed lines could be done otherwise');
    const suite = candidateFacts?.tests ?? null;
    if (suite === null || run === null) return outcome('not_run', 'there are no tests that could notice');
    if (!suite.ok) return outcome('inconclusive', 'the tests fail as they are');
    const lot = all.map((each, index) => ({ each, lot: draw(`mutant ${index} ${each.path} ${each.line} ${each.is}`) }));
    const sample = lot
      .sort((a, b) => a.lot - b.lot)
      .slice(0, tried)
      .map(({ each }) => each);
    const onceMs = suite.ms + (candidateFacts?.build?.ms ?? 0);
    // Mutants of loops never end. The suite's own time was taken on this machine a moment ago, as busy as it is now.
    const timeoutMs = Math.min(policy.timeoutSeconds * 1000, Math.max(8_000, onceMs * 4 + 5_000));
    const deadline = performance.now() + policy.timeoutSeconds * 1000;
    const survived: Placed[] = [];
    let killed = 0;
    const queue = [...sample];
    const lane = async (): Promise<void> => {
      for (let each = queue.shift(); each !== undefined; each = queue.shift()) {
        signal?.throwIfAborted();
        if (performance.now() > deadline) return;
        const after = await run.tests({ overrides: new Map([[each.path, each.text]]), stopAtFirst: true, timeoutMs });
        const trial = after === null ? 'unknown' : noticed(suite, after);
        if (trial === 'noticed') killed++;
        else if (trial === 'unnoticed') survived.push(each);
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    const known = killed + survived.length;
    const metrics = { mutants: all.length, tried: known, killed };
    if (known < sample.length)
      return outcome('inconclusive', `only ${known} of ${sample.length} could be tried in time`, [], metrics);
    const findings = survived
      .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line))
      .map((each): Finding =>
        findingOf({
          check: 'mutation',
          rule: 'mutation.survived',
          level: 'note',
          message: `No test notices when \`${each.was}\` is \`${each.is}\`.`,
          path: each.path,
          line: each.line,
          remedy: 'Add a test whose answer depends on it.',
          key: `${each.was} ${each.is} ${each.line}`,
        }),
      );
    const weak = known >= 3 && killed * 2 < known;
    if (weak) {
      const [first] = survived;
      findings.unshift(
        findingOf({
          check: 'mutation',
          rule: 'mutation.weak',
          level: killed === 0 ? 'error' : 'warning',
          message: `Tests notice ${killed} of ${known} small mistakes on the changed lines.`,
          path: first?.path ?? null,
          line: first?.line ?? null,
          remedy: 'Assert what the code answers for inputs on both sides of each decision.',
        }),
      );
    }
    return outcome(
      weak && killed === 0 ? 'failed' : 'passed',
      `tests notice ${killed} of ${known} small mistakes on the changed lines`,
      findings,
      metrics,
    );
  },
};
