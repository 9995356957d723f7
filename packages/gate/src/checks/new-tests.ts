import type { Finding, TestCase } from '@muster/contracts';
import { byName } from '../project/test-runner.ts';
import { functionsIn } from '../source/functions.ts';
import { hollowed } from '../source/mutants.ts';
import { isProductSource } from '../source/paths.ts';
import { mostSourceBytes } from '../source/fresh.ts';
import { breathe } from '../breath.ts';
import { piecesOf } from '../source/pieces.ts';
import { obliges } from '../source/titles.ts';
import type { SourceTree } from '../source/tree.ts';
import { findingOf, outcome, type Check } from './check.ts';
import { isOfTests } from './trials.ts';

/** As many files as one run may have emptied: each is taken apart, and written. With more, nobody can say that a test calls nothing of the product. */
const mostHollowed = 10_000;

/**
 * Does a test show what the change is for? At least one that it brings, or alters, has to fail without the change and pass with it. A
 * new test that passes either way has to notice at least that nothing of the product works any more.
 */
export const newTestsCheck: Check = {
  name: 'new-tests',
  category: 'tests',
  languages: ['typescript', 'javascript', 'python'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  async run({
    policy,
    candidate,
    against,
    changes,
    candidateFacts,
    baseFacts,
    run,
    baseRun,
    trials,
    approvedBy,
    declared,
    signal,
  }) {
    if (!policy.checks.newTests) return outcome('not_run', 'switched off in muster.yaml');
    if (against === null) return outcome('passed', 'there is no branch yet that it could be compared with');
    const suite = candidateFacts?.tests ?? null;
    if (suite === null || run === null) return outcome('not_run', 'there are no tests that could show it');
    const was = baseFacts?.tests ?? null;
    if (!suite.detailed || was?.detailed !== true)
      return outcome('inconclusive', 'the runner does not tell its cases one by one');
    // What is altered so that a test could tell, and every function that was not there under its name.
    const altered = new Set(
      (await piecesOf(changes, against, candidate)).flatMap((each) => (each.asksForNothing ? [] : [each.path])),
    );
    const known = new Set<string>();
    const namesIn = (tree: SourceTree, path: string): string[] =>
      functionsIn(path, tree.text(path) ?? '').map(({ name }) => name);
    const source = changes.filter(({ path }) => isProductSource(path));
    for (const { path, status } of source)
      if (status !== 'added') for (const name of namesIn(against, path)) known.add(name);
    for (const { path, status } of source) {
      if (status === 'removed') continue;
      await breathe();
      if (namesIn(candidate, path).some((name) => !known.has(name))) altered.add(path);
    }
    const brought = changes.filter(
      ({ path, status }) => status !== 'removed' && isOfTests(path) && candidate.text(path) !== null,
    );
    const now = byName(suite.cases);
    const before = byName(was.cases);
    const fresh = [...now].filter(([key, test]) => test.status === 'passed' && !before.has(key));
    if (altered.size === 0 && fresh.length === 0) return outcome('passed', 'nothing that a test would have to show');

    let shown: string[] = [];
    let idle: [string, TestCase][] = [];
    if (brought.length > 0) {
      const base = await baseRun();
      if (base === null) return outcome('not_run', 'the branch cannot be run');
      const texts = new Map(brought.map(({ path }) => [path, candidate.text(path) ?? '']));
      const known = new Map([...texts].filter(([path]) => against.has(path)));
      const added = new Map([...texts].filter(([path]) => !against.has(path)));
      const without = await base.tests({ overrides: known, added });
      if (without === null) return outcome('not_run', 'the branch has no tests to run');
      const there = without.detailed ? byName(without.cases) : new Map<string, TestCase>();
      shown = [...now]
        .filter(
          ([key, test]) =>
            test.status === 'passed' && there.get(key)?.status !== 'passed' && before.get(key)?.status !== 'failed',
        )
        .map(([, test]) => test.name);
      idle = fresh.filter(([key]) => there.get(key)?.status === 'passed');
    }
    signal?.throwIfAborted();
    const findings: Finding[] = [];
    if (idle.length > 0) {
      const product = [...candidate.files.keys()].filter(
        (path) => isProductSource(path) && (candidate.text(path)?.length ?? Infinity) < mostSourceBytes,
      );
      const all = product.length <= mostHollowed;
      let untouched = idle;
      for (const how of ['empty', 'throws'] as const) {
        if (untouched.length === 0) break;
        const overrides = new Map<string, string>();
        for (const path of product.slice(0, mostHollowed)) {
          overrides.set(path, hollowed(path, candidate.text(path) ?? '', how));
          if (overrides.size % 50 === 0) await breathe();
        }
        const after = await run.tests({ overrides });
        const cases = after?.detailed === true ? byName(after.cases) : new Map<string, TestCase>();
        untouched = untouched.filter(([key]) => cases.get(key)?.status === 'passed');
      }
      for (const [, test] of untouched)
        findings.push(
          findingOf({
            check: 'new-tests',
            rule: 'new-tests.proves_nothing',
            level: all ? 'error' : 'warning',
            message: `The new test “${test.name}” passes without the change, and even when no function ${all ? 'of the product' : `in ${mostHollowed} of the ${product.length} files of the product`} does anything.`,
            path: test.file,
            remedy: 'Call the code, and assert what it answers.',
            key: test.name,
          }),
        );
    }
    const metrics: Record<string, number> = { new: fresh.length, shown: shown.length, idle: idle.length };
    const claims = declared.title !== null && obliges.test(declared.title);
    // One thing that is shown stands for nothing else: each piece that can be taken back has to be missed.
    const pieces = claims && altered.size > 0 && shown.length > 0 ? await trials.pieces() : null;
    const unasked = (pieces?.trials ?? []).filter(
      ({ asksForNothing, trial }) => !asksForNothing && trial === 'unnoticed',
    );
    for (const { names, path, line } of unasked)
      findings.push(
        findingOf({
          check: 'new-tests',
          rule: 'new-tests.nothing_shown',
          // Who hands it in as a person answers for the parts of what is shown as a whole.
          level: approvedBy === null ? 'error' : 'warning',
          message: `No test fails when what this change does to ${names.slice(0, 3).join(', ')} is taken back, and it calls itself “${declared.title!.split('\n')[0]!.slice(0, 100)}”.`,
          path,
          line,
          remedy: 'Add a test that fails on the branch as it is, and passes with the change; or leave this part out.',
          key: names.join(' '),
        }),
      );
    if (pieces !== null) {
      metrics['pieces'] = pieces.trials.length;
      metrics['unasked'] = unasked.length;
      metrics['left_out'] = pieces.leftOut;
    }
    if (altered.size > 0 && shown.length === 0) {
      findings.push(
        findingOf({
          check: 'new-tests',
          rule: 'new-tests.nothing_shown',
          level: claims ? 'error' : 'warning',
          message: `No test fails without this change${claims ? `, which calls itself “${declared.title!.split('\n')[0]!.slice(0, 100)}”` : ''}.`,
          path: [...altered][0]!,
          remedy: 'Add a test that fails on the branch as it is, and passes with the change.',
        }),
      );
    }
    const failed = findings.some((each) => each.level === 'error');
    const rest = (pieces?.leftOut ?? 0) > 0 ? `; ${pieces!.leftOut} more pieces of it were not taken back` : '';
    const summary =
      shown.length > 0
        ? `${shown.length} tests fail without the change and pass with it${pieces === null ? '' : `, and ${unasked.length} of ${pieces.trials.length} pieces of it are asked for by none`}${rest}`
        : `${fresh.length} new tests, none of which fails without the change`;
    return outcome(failed ? 'failed' : 'passed', summary, findings, metrics);
  },
};
