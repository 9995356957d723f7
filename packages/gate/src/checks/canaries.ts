import type { Finding, TestCase } from '@muster/contracts';
import type { SuiteOutcome, TreeRun } from '../project/tree-run.ts';
import type { TestRunner } from '../project/test-runner.ts';
import { planted, type Planted } from '../source/canaries.ts';
import { isPython, isScript, isTestFile } from '../source/paths.ts';
import type { SourceTree } from '../source/tree.ts';
import { findingOf, outcome, type Check } from './check.ts';

const prose = /\.(?:md|mdx|rst|txt|adoc|png|jpe?g|gif|svg|ico|webp|pdf)$|(^|\/)(?:LICENSE|NOTICE|CODEOWNERS)$/;
/** A test that flakes one time in twenty is taken for one that only passes unwatched one time in 160,000. */
const tries = 4;

/** Groups and tests joined by a space, however the runner joins them. */
const plainName = (name: string): string => name.replaceAll(' > ', ' ');

function statuses(cases: readonly TestCase[]): Map<string, TestCase['status'] | 'several'> {
  const named = new Map<string, TestCase['status'] | 'several'>();
  for (const { name, status } of cases) named.set(plainName(name), named.has(plainName(name)) ? 'several' : status);
  return named;
}

/** Files with canaries in them, and the tests of their own that go by a name that nothing else goes by. */
function plant(tree: SourceTree, runner: TestRunner): Map<string, Planted> {
  const all: [string, Planted][] = [];
  const times = new Map<string, number>();
  for (const path of tree.files.keys()) {
    const text = isTestFile(path) && (isScript(path) || isPython(path)) ? tree.text(path) : null;
    const file = text === null ? null : planted(path, text, runner);
    if (file === null) continue;
    all.push([path, file]);
    for (const name of file.own) times.set(name, (times.get(name) ?? 0) + 1);
  }
  return new Map(all.map(([path, file]) => [path, { ...file, own: file.own.filter((name) => times.get(name) === 1) }]));
}

/** Those of which something is run, and passes: others have no canaries to show. */
function passing(files: ReadonlyMap<string, Planted>, suite: SuiteOutcome): Map<string, Planted> {
  const now = statuses(suite.cases);
  return new Map(
    [...files]
      .map(([path, file]): [string, Planted] => [
        path,
        { ...file, own: file.own.filter((name) => now.get(name) === 'passed') },
      ])
      .filter(([, { own }]) => own.length > 0),
  );
}

interface Doubt {
  rule: 'swallowed_failure' | 'hidden_test' | 'test_cannot_fail' | 'passes_unwatched' | 'ends_well' | 'forged_report';
  /** An assertion, or the name of a test. */
  about: string;
  path: string | null;
  message: string;
}

const keyOf = ({ rule, about, path }: Doubt): string => `${rule} ${path ?? ''} ${about}`;

interface Watched {
  doubts: Doubt[];
  files: number;
  canaries: number;
  sabotaged: number;
  /** The runs came to an end, so that what is missing is missing. */
  ended: boolean;
}

async function watch(
  all: ReadonlyMap<string, Planted>,
  suite: SuiteOutcome,
  run: TreeRun,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Watched | null> {
  const files = passing(all, suite);
  if (files.size === 0) return null;
  const texts = (kind: 'quiet' | 'sabotaged'): Map<string, string> =>
    new Map([...files].map(([path, file]) => [path, file[kind]]));
  const whole = (result: SuiteOutcome | null): result is SuiteOutcome =>
    result !== null && !result.timedOut && result.detailed;
  const [first, sabotaged] = await Promise.all([
    run.tests({ overrides: texts('quiet'), timeoutMs }),
    run.tests({ overrides: texts('sabotaged'), timeoutMs }),
  ]);
  const quiet = whole(first) ? first : await run.tests({ overrides: texts('quiet'), timeoutMs: timeoutMs * 2 });
  const seen: Watched = {
    doubts: [],
    files: files.size,
    canaries: [...files.values()].reduce((sum, each) => sum + each.canaries.length, 0),
    sabotaged: [...files.values()].reduce((sum, each) => sum + each.own.length, 0),
    ended: whole(quiet),
  };
  const doubt = (rule: Doubt['rule'], about: string, path: string | null, message: string): void => {
    const one: Doubt = { rule, about, path, message };
    if (!seen.doubts.some((each) => keyOf(each) === keyOf(one))) seen.doubts.push(one);
  };
  const strangers = quiet?.forged ?? sabotaged?.forged;
  if (strangers != null) doubt('forged_report', '', null, `When the gate adds tests of its own, ${strangers}.`);
  if (!whole(quiet)) {
    doubt(
      'hidden_test',
      'all',
      null,
      'The tests end when they are run as they are, and do not when the gate adds some.',
    );
    return seen;
  }
  const inQuiet = statuses(quiet.cases);
  const inSabotaged = whole(sabotaged) ? statuses(sabotaged.cases) : null;
  const failing = [...files.values()].flatMap(({ canaries }) => canaries.filter(({ fails }) => fails !== null));
  if (quiet.exitCode === 0 && failing.some(({ name }) => inQuiet.get(name) === 'failed'))
    doubt('ends_well', '', null, 'The test command ends with success although tests fail.');
  for (const [path, { canaries }] of files)
    for (const { name, fails } of canaries)
      for (const now of [inQuiet, inSabotaged]) {
        if (now === null) continue;
        const status = now.get(name);
        if (status === undefined)
          doubt('hidden_test', fails ?? 'there', path, `A test that the gate adds to ${path} is not in the report.`);
        else if (fails !== null && status !== 'failed')
          doubt('swallowed_failure', fails, path, `In ${path} a test passes that has to fail: ${fails}.`);
      }
  if (inSabotaged !== null)
    for (const [path, { own }] of files)
      for (const name of own)
        if (inSabotaged.get(name) === 'passed')
          doubt('test_cannot_fail', name, path, `“${name}” is reported as passed although it was made to fail.`);
  // What passes as it is passes with a question in it that is answered with no; unless it goes by the text.
  let otherwise = [...files].flatMap(([path, { own }]) =>
    own.filter((name) => inQuiet.get(name) !== 'passed').map((name) => ({ path, name })),
  );
  for (let round = 1; round < tries && otherwise.length > 0; round++) {
    signal?.throwIfAborted();
    const again = statuses((await run.tests({ overrides: texts('quiet'), timeoutMs }))?.cases ?? []);
    otherwise = otherwise.filter(({ name }) => again.get(name) !== 'passed');
  }
  for (const { path, name } of otherwise)
    doubt('passes_unwatched', name, path, `“${name}” passes as long as nothing is added to ${path}, and then no more.`);
  return seen;
}

const remedies: Readonly<Record<Doubt['rule'], string>> = {
  swallowed_failure:
    'Take out what replaces or catches the failure; an assertion that does not hold has to fail its test.',
  hidden_test: 'Take out what leaves tests out or ends the run before all of them have run.',
  test_cannot_fail: 'Take out what changes the outcome of tests.',
  passes_unwatched: 'Take out what looks at the text of tests or at who runs them.',
  ends_well: 'Take out what ends the run with success.',
  forged_report: 'Take out what writes the report; results are reported by the runner.',
};
const most = 20;
/** A function that pytest runs once for each of its parameters is written down without them. */
const withoutParameters = (name: string): string => name.replace(/\[.*\]$/s, '');

/** Tests that stand in their file as before, passed on the branch, and are not in the report: something ended the run before them. */
function missing(
  files: ReadonlyMap<string, Planted>,
  suite: SuiteOutcome,
  before: ReadonlyMap<string, string>,
): Finding[] {
  const now = new Set([...statuses(suite.cases).keys()].flatMap((name) => [name, withoutParameters(name)]));
  const broken = new Set(suite.cases.filter(({ status }) => status === 'failed').map(({ file }) => file));
  return [...files].flatMap(([path, { own }]) =>
    broken.has(path) || broken.has(null)
      ? []
      : own
          .filter((name) => before.get(name) === 'passed' && !now.has(name))
          .map((name) =>
            findingOf({
              check: 'canaries',
              rule: 'tampering.hidden_test',
              level: 'error',
              veto: true,
              message: `“${name}” is written down in ${path}, passed on the branch, and is not in the report.`,
              path,
              remedy: remedies.hidden_test,
              key: name,
            }),
          ),
  );
}

/**
 * Can the tests still fail? The gate adds tests of its own to every test file, in the words that the file uses, and makes the file's own
 * tests fail: what does not show then would not have shown before. Nobody can tell from the names which are which.
 */
export const canariesCheck: Check = {
  name: 'canaries',
  category: 'integrity',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing', 'revert'],
  async run({ policy, candidate, against, base, changes, candidateFacts, baseFacts, run, baseRun, signal }) {
    if (changes.every(({ path }) => prose.test(path))) return outcome('passed', 'nothing that runs was changed');
    const suite = candidateFacts?.tests ?? null;
    if (suite === null || run === null) return outcome('not_run', 'there are no tests that canaries could be added to');
    if (!suite.detailed)
      return baseFacts?.tests?.detailed === true
        ? outcome('inconclusive', 'the runner did not finish, so canaries cannot be seen')
        : outcome('not_run', 'the runner does not tell its cases one by one');
    const timeoutMs = Math.min(
      policy.timeoutSeconds * 1000,
      Math.max(30_000, (suite.ms + (candidateFacts?.build?.ms ?? 0)) * 4 + 10_000),
    );
    const was = baseFacts?.tests ?? null;
    const before = was === null ? new Map<string, string>() : statuses(was.cases);
    const runner = run.commands.tests?.runner ?? 'command';
    const files = plant(candidate, runner);
    const unheard = missing(files, suite, before);
    if (unheard.length > 0)
      return outcome('failed', `${unheard.length} tests that are written down were not run`, unheard.slice(0, most));
    const seen = await watch(files, suite, run, timeoutMs, signal);
    if (seen === null) return outcome('not_run', 'no test file has a place for canaries');
    const metrics = { files: seen.files, canaries: seen.canaries, sabotaged: seen.sabotaged };
    const all = `${seen.canaries} tests of the gate's own and ${seen.sabotaged} of the project's, made to fail in ${seen.files} files`;
    if (seen.doubts.length === 0) return outcome('passed', `${all}, show as they should`, [], metrics);

    // The way in which a project runs its tests may be at odds with canaries; then it is on the branch as well.
    const onBase = base === null || was?.detailed !== true ? null : await baseRun();
    const control = onBase === null ? null : await watch(plant(base!, runner), was!, onBase, timeoutMs, signal);
    const known = new Set(control?.doubts.map(keyOf));
    // Where the branch stops at the first failure, canaries go missing there as well, and not always the same.
    const sound = control !== null && control.ended && !control.doubts.some(({ rule }) => rule === 'hidden_test');
    const findings: Finding[] = [];
    for (const { rule, about, path, message } of seen.doubts.slice(0, most)) {
      const key = keyOf({ rule, about, path, message });
      if (known.has(key) || control?.doubts.some((each) => each.rule === rule && each.path === null)) continue;
      // What is missing, or passes no more, is charged only where the same was to be seen on the branch.
      const sure =
        !(rule === 'hidden_test' || rule === 'passes_unwatched') ||
        (sound &&
          (path === null || against?.has(path) === true) &&
          (rule !== 'passes_unwatched' || before.get(about) === 'passed'));
      findings.push(
        findingOf({
          check: 'canaries',
          rule: `tampering.${rule}`,
          level: sure ? 'error' : 'warning',
          veto: sure,
          message,
          path,
          remedy: remedies[rule],
          key,
        }),
      );
    }
    if (findings.some(({ veto }) => veto))
      return outcome('failed', 'what makes tests fail does not show as it should', findings, metrics);
    if (findings.length > 0 || !seen.ended)
      return outcome('inconclusive', 'not all canaries could be seen', findings, metrics);
    return outcome('passed', `${all}, show as they do on the branch`, [], metrics);
  },
};
