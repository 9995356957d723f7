import type { TestCase } from '@muster/contracts';
import { z } from 'zod';
import type { SourceTree } from '../source/tree.ts';
import { isPython, isTestFile } from '../source/paths.ts';
import { lineOf, spelledOut, type Scripts } from './scripts.ts';

export const testRunners = ['node:test', 'jest', 'vitest', 'mocha', 'pytest', 'command'] as const;
export type TestRunner = (typeof testRunners)[number];

export interface TestPlan {
  runner: TestRunner;
  /** What the project itself would run; what people read. */
  label: string;
  /** The same as a line for a shell, with nothing added to it. */
  bare: string;
  /** The same with a reporter of ours in that folder, and stopping at the first failure where the runner can. */
  line(reporters: string, stopAtFirst: boolean): string;
}

interface Wiring {
  runner: TestRunner;
  matches: RegExp;
  wire(step: string, reporters: string, stopAtFirst: boolean): string;
}

const wirings: readonly Wiring[] = [
  {
    runner: 'jest',
    matches: /(^|[\s/])jest(\.js)?(\s|$)/,
    wire: (step, reporters, stop) =>
      `${step} --reporters=default --reporters=${reporters}/jest.cjs${stop ? ' --bail --coverage=false' : ''}`,
  },
  {
    runner: 'vitest',
    matches: /(^|\s)vitest(\s|$)/,
    wire: (step, reporters, stop) =>
      `${step.replace(/ --run\b/, '').replace(/--watch\b|\bvitest\s+watch\b/, (word) => (word.startsWith('--') ? '' : 'vitest'))} --run --reporter=default --reporter=${reporters}/vitest.mjs${stop ? ' --bail=1 --coverage.enabled=false' : ''}`,
  },
  {
    runner: 'mocha',
    matches: /(^|[\s/])_?mocha(\.js)?(\s|$)/,
    // Required as well, so that it is there before what the project requires.
    wire: (step, reporters, stop) =>
      `${step} --require ${reporters}/mocha.cjs --reporter ${reporters}/mocha.cjs${stop ? ' --bail' : ''}`,
  },
  {
    runner: 'node:test',
    matches: /(^|\s)--test(\s|$)/,
    wire: (step, reporters) =>
      step.replace(
        /(^|\s)--test(?=\s|$)/,
        `$1--test --test-reporter=${reporters}/node.mjs --test-reporter-destination=stderr --test-reporter=spec --test-reporter-destination=stdout`,
      ),
  },
  {
    runner: 'pytest',
    matches: /(^|\s)(python3? -m )?pytest(\s|$)/,
    wire: (step, _reporters, stop) => `${step} -p muster_report${stop ? ' -x' : ''}`,
  },
];

export function planFor(label: string, line: string): TestPlan {
  const parts = line.split(/(\s*(?:&&|;)\s*)/);
  const at = parts.findIndex((part) => wirings.some((wiring) => wiring.matches.test(part)) && !/\|/.test(part));
  const wiring = at < 0 ? undefined : wirings.find((each) => each.matches.test(parts[at]!));
  if (wiring === undefined) return { runner: 'command', label, bare: line, line: () => line };
  return {
    runner: wiring.runner,
    label,
    bare: line,
    line: (reporters, stop) =>
      parts.map((part, index) => (index === at ? wiring.wire(part, reporters, stop) : part)).join(''),
  };
}

/** The words of a step, with their quotes. */
export const wordsOf = (step: string): string[] => step.match(/(?:'[^']*'|"[^"]*"|\S)+/g) ?? [];

const ofNode =
  /^(?:--test|--test-timeout=\d+|--test-concurrency=\d+|--test-force-exit|--experimental-strip-types|--experimental-transform-types|--no-warnings|--disable-warning=\w+)$/;
const ofVitest = /^(?:--run|--passWithNoTests|--silent|--globals|--pool=(?:threads|forks))$/;

/** Whether a line gives each test file a process or a worker of its own, as far as its options are known to leave it so. */
export function runsApart({ runner, bare }: TestPlan): boolean {
  const [program, ...quoted] = wordsOf(bare);
  const words = quoted.map((word) => word.replace(/^(['"])(.*)\1$/, '$2'));
  if (words.some((word) => /[$`|&;<>'"\\]/.test(word))) return false;
  const options = words.filter((word) => word.startsWith('-'));
  const [name] = words.filter((word) => !word.startsWith('-'));
  if (runner === 'node:test')
    return program === 'node' && words[0]?.startsWith('-') === true && options.every((word) => ofNode.test(word));
  const runsAll = name === undefined || name === 'run' || options.includes('--run');
  return runner === 'vitest' && program === 'vitest' && runsAll && options.every((word) => ofVitest.test(word));
}

/** How this project tests itself, or null when it does not. The scripts are those of the branch wherever the branch has them. */
export function detectTests(
  tree: SourceTree,
  scripts: Scripts,
  wish: boolean | string,
  pytest: boolean,
): TestPlan | null {
  if (wish === false) return null;
  if (typeof wish === 'string')
    return planFor(
      wish,
      spelledOut(
        scripts,
        wish.replace(/^npm (?:run )?(test)$/, (_all, name: string) => lineOf(scripts, name) ?? wish),
      ),
    );
  const line = lineOf(scripts, 'test');
  if (line !== null && !/no test specified/.test(line)) return planFor('npm test', spelledOut(scripts, line));
  const paths = [...tree.files.keys()];
  if (paths.some((path) => isPython(path) && isTestFile(path)) && pytest) {
    // A module that cannot be imported fails alone; without the option pytest would run none of the others.
    return planFor('pytest', 'python3 -m pytest -q -p no:cacheprovider --continue-on-collection-errors');
  }
  return null;
}

const told = z.object({
  name: z.string(),
  file: z.string().nullable(),
  status: z.enum(['passed', 'failed', 'skipped']),
  message: z.string().nullable(),
  ms: z.number().nullable(),
});

const mostCases = 20_000;

/** The test cases that a reporter told of, paths relative to the project. */
export function casesOf(records: readonly unknown[], work: string): TestCase[] {
  const inside = (path: string): string => (path.startsWith(`${work}/`) ? path.slice(work.length + 1) : path);
  return records.slice(0, mostCases).flatMap((record) => {
    const { success, data } = told.safeParse(record);
    return success
      ? [
          {
            ...data,
            name: inside(data.name).slice(0, 1000),
            file: data.file === null ? null : inside(data.file).slice(0, 1024),
          },
        ]
      : [];
  });
}

const summaries: Readonly<Partial<Record<TestRunner, { passed: RegExp; failed: RegExp; from: RegExp }>>> = {
  jest: { from: /^Tests:.*$/gm, passed: /(\d+) passed/, failed: /(\d+) failed/ },
  'node:test': { from: /^(?:ℹ|#) pass \d+\s*\n(?:ℹ|#) fail \d+/gm, passed: /pass (\d+)/, failed: /fail (\d+)/ },
  pytest: {
    from: /^=*\s*(?:\d+ (?:passed|failed|skipped|errors?|deselected|xfailed|xpassed|warnings?)(?:, )?)+ in [\d.]+s.*$/gm,
    passed: /(\d+) passed/,
    failed: /(\d+) failed/,
  },
};

/**
 * A report that tells of more tests passing, or of fewer failing, than the runner said while it ran was written by somebody else.
 * Only where the runner said it once: several runs in one script cannot be told apart.
 */
export function contradictionIn(runner: TestRunner, output: string, cases: readonly TestCase[]): string | null {
  const summary = summaries[runner];
  const said = summary === undefined ? [] : [...output.matchAll(summary.from)].map((match) => match[0]);
  if (summary === undefined || said.length !== 1) return null;
  const count = (pattern: RegExp): number => Number(pattern.exec(said[0]!)?.[1] ?? 0);
  const passed = cases.filter((each) => each.status === 'passed').length;
  const failed = cases.filter((each) => each.status === 'failed').length;
  // Groups and parts of tests count for node's runner and not in its report.
  if (failed === 0 && count(summary.failed) > 0)
    return `the runner said that ${count(summary.failed)} tests failed, its report that none did`;
  if (passed > count(summary.passed) && runner !== 'node:test')
    return `the runner said that ${count(summary.passed)} tests passed, its report tells of ${passed}`;
  return null;
}

/** Names a case the same on two trees even when its file moved: by what it says, counted where several say the same. */
export function byName(cases: readonly TestCase[]): Map<string, TestCase> {
  const named = new Map<string, TestCase>();
  for (const each of cases) {
    let key = each.name;
    for (let n = 2; named.has(key); n++) key = `${each.name} (${n})`;
    named.set(key, each);
  }
  return named;
}
