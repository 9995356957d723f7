import type { CheckFacts, FirstLook } from '@muster/contracts';
import type { CheckContext } from './checks/check.ts';
import { affectedTests } from './project/affected.ts';
import type { CommandOutcome, TreeRun } from './project/tree-run.ts';
import { everyText } from './storable.ts';

/** Checks that only read, and refuse the weightiest things. */
export const needsNoRun: ReadonlySet<string> = new Set(['secrets', 'concealment', 'security', 'scope']);

/**
 * The tests that a change has to do with, on the change alone, beside what reading it has shown. Minutes may lie between this and
 * the verdict, and none follows from it.
 * @param read looks with the checks that only read, while the tests run
 * @param started when the verification began, by `performance.now()`
 */
export async function lookFirst(
  { candidate, changes, run }: CheckContext,
  read: () => Promise<readonly CheckFacts[]>,
  started: number,
): Promise<FirstLook> {
  const files = run === null ? null : affectedTests(candidate, changes);
  const running = run === null || files === null || files.length === 0 ? null : testsOf(run, files);
  running?.catch(() => undefined); // it is waited for below
  const seen = await read();
  const { built, tests } = (await running) ?? { built: null, tests: null };
  const failing = [
    ...seen.flatMap(({ findings }) =>
      findings.filter((each) => each.veto).map((each) => `${each.rule}: ${each.message.split('\n')[0]}`),
    ),
    ...(built?.ok === false ? ['the build fails'] : []),
    ...(tests?.ok === false ? [`tests that have to do with the change fail: ${tests.output.slice(-1000)}`] : []),
  ];
  return everyText<FirstLook>({
    state: failing.length > 0 ? 'failing' : tests === null ? 'unknown' : 'passing',
    checks: seen.map(({ check, status, summary }) => ({ check, status, summary })),
    testFiles: (files ?? []).slice(0, 200),
    failing: failing.slice(0, 50).map((each) => each.slice(0, 2000)),
    ms: Math.round(performance.now() - started),
  });
}

async function testsOf(run: TreeRun, files: readonly string[]): Promise<Record<'built' | 'tests', CommandOutcome | null>> {
  run.beginAgain();
  const built = await run.showBuild();
  return { built, tests: built?.ok === false ? null : await run.lookAt(files) };
} // prettier-ignore
