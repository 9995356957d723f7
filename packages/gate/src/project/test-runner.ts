import type { TestCase } from '@muster/contracts';
import { XMLParser } from 'fast-xml-parser';
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
  /** The same with a report asked for, and stopping at the first failure where the runner can. */
  line(places: { report: string; reporter: string }, stopAtFirst: boolean): string;
}

interface Wiring {
  runner: TestRunner;
  matches: RegExp;
  wire(step: string, places: { report: string; reporter: string }, stopAtFirst: boolean): string;
}

const wirings: readonly Wiring[] = [
  {
    runner: 'jest',
    matches: /(^|[\s/])jest(\.js)?(\s|$)/,
    wire: (step, { report }, stop) => `${step} --json --outputFile=${report}${stop ? ' --bail --coverage=false' : ''}`,
  },
  {
    runner: 'vitest',
    matches: /(^|\s)vitest(\s|$)/,
    wire: (step, { report }, stop) =>
      `${step.replace(/--watch\b|\bvitest\s+watch\b/, (word) => (word.startsWith('--') ? '' : 'vitest'))} --run --reporter=json --outputFile=${report}${stop ? ' --bail=1 --coverage.enabled=false' : ''}`,
  },
  {
    runner: 'mocha',
    matches: /(^|[\s/])_?mocha(\.js)?(\s|$)/,
    wire: (step, { report }, stop) =>
      `${step} --reporter json --reporter-option output=${report}${stop ? ' --bail' : ''}`,
  },
  {
    runner: 'node:test',
    matches: /(^|\s)--test(\s|$)/,
    wire: (step, { report, reporter }) =>
      step.replace(
        /(^|\s)--test(?=\s|$)/,
        `$1--test --test-reporter=${reporter} --test-reporter-destination=${report} --test-reporter=spec --test-reporter-destination=stdout`,
      ),
  },
  {
    runner: 'pytest',
    matches: /(^|\s)(python3? -m )?pytest(\s|$)/,
    wire: (step, { report }, stop) => `${step} --junitxml=${report}${stop ? ' -x' : ''}`,
  },
];

function planFor(label: string, line: string): TestPlan {
  const parts = line.split(/(\s*(?:&&|;)\s*)/);
  const at = parts.findIndex((part) => wirings.some((wiring) => wiring.matches.test(part)) && !/\|/.test(part));
  const wiring = at < 0 ? undefined : wirings.find((each) => each.matches.test(parts[at]!));
  if (wiring === undefined) return { runner: 'command', label, line: () => line };
  return {
    runner: wiring.runner,
    label,
    line: (places, stop) =>
      parts.map((part, index) => (index === at ? wiring.wire(part, places, stop) : part)).join(''),
  };
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

/** Runs inside the sandbox as node:test's reporter: one JSON line per test case. */
export const nodeReporter = `
export default async function* report(source) {
  const names = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') { names[data.nesting] = data.name; names.length = data.nesting + 1; continue; }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const error = data.details?.error;
    if (data.details?.type === 'suite' && (type === 'test:pass' || error?.failureType === 'subtestsFailed')) continue;
    if (error?.failureType === 'subtestsFailed') continue;
    const name = [...names.slice(0, data.nesting), data.name].join(' > ');
    const skipped = (data.skip !== undefined && data.skip !== false) || (data.todo !== undefined && data.todo !== false);
    const cause = error?.cause;
    yield JSON.stringify({
      name, file: data.file ?? null, status: skipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed',
      message: type === 'test:fail' ? String(cause?.message ?? cause ?? error?.message ?? 'failed').slice(0, 4000) : null,
      ms: data.details?.duration_ms ?? null,
    }) + '\\n';
  }
}
`;

const nodeLine = z.object({
  name: z.string(),
  file: z.string().nullable(),
  status: z.enum(['passed', 'failed', 'skipped']),
  message: z.string().nullable(),
  ms: z.number().nullable(),
});
const jestReport = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string().optional(),
      message: z.string().nullish(),
      assertionResults: z.array(
        z.object({
          fullName: z.string(),
          status: z.string(),
          failureMessages: z.array(z.string()).nullish(),
          duration: z.number().nullish(),
        }),
      ),
    }),
  ),
});
const mochaTest = z.object({
  fullTitle: z.string(),
  file: z.string().nullish(),
  duration: z.number().nullish(),
  err: z.record(z.string(), z.unknown()).optional(),
});
const mochaReport = z.object({ tests: z.array(mochaTest), pending: z.array(mochaTest), failures: z.array(mochaTest) });
const junitCase = z.looseObject({
  name: z.coerce.string(),
  classname: z.coerce.string().optional(),
  time: z.coerce.number().optional(),
});

/** The test cases of a runner's report, paths relative to the project; null when the report is not one. */
export function readCases(
  runner: TestRunner,
  report: string,
  work: string,
  has: (path: string) => boolean = () => true,
): TestCase[] | null {
  const inside = (path: string): string => (path.startsWith(`${work}/`) ? path.slice(work.length + 1) : path);
  try {
    const cases = parseCases(runner, report, inside, has);
    return cases.slice(0, 20_000).map((each) => ({
      name: each.name.slice(0, 1000),
      file: each.file === null ? null : inside(each.file).slice(0, 1024),
      status: each.status,
      message: each.message?.slice(0, 8000) ?? null,
      ms: each.ms,
    }));
  } catch {
    return null;
  }
}

const messageOf = (error: Record<string, unknown> | undefined): string =>
  typeof error?.['message'] === 'string' ? error['message'] : 'failed';

/** JUnit says `tests.test_a.TestB` for a class in a file and for a file in a folder alike: it is the longest path that exists. */
function fileOfClass(dotted: string, has: (path: string) => boolean): string {
  const parts = dotted.split('.');
  for (let length = parts.length; length > 0; length--) {
    const path = `${parts.slice(0, length).join('/')}.py`;
    if (has(path)) return path;
  }
  return `${parts.join('/')}.py`;
}

function parseCases(
  runner: TestRunner,
  report: string,
  inside: (path: string) => string,
  has: (path: string) => boolean,
): TestCase[] {
  switch (runner) {
    case 'node:test':
      return report
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const each = nodeLine.parse(JSON.parse(line));
          return { ...each, name: inside(each.name) };
        });
    case 'jest':
    case 'vitest':
      return jestReport.parse(JSON.parse(report)).testResults.flatMap((file) => [
        ...(file.status === 'failed' && file.assertionResults.length === 0
          ? [
              {
                name: `${inside(file.name)} can be run`,
                file: file.name,
                status: 'failed' as const,
                message: file.message ?? null,
                ms: null,
              },
            ]
          : []),
        ...file.assertionResults.map((each) => ({
          name: each.fullName.trim(),
          file: file.name,
          status:
            each.status === 'passed'
              ? ('passed' as const)
              : each.status === 'failed'
                ? ('failed' as const)
                : ('skipped' as const),
          message: each.failureMessages?.join('\n') || null,
          ms: each.duration ?? null,
        })),
      ]);
    case 'mocha': {
      const { tests, pending, failures } = mochaReport.parse(JSON.parse(report));
      const skipped = new Set(pending.map((each) => each.fullTitle));
      const listed = new Set(tests.map((each) => each.fullTitle));
      return [...tests, ...failures.filter((each) => !listed.has(each.fullTitle))].map((each) => {
        const failed = each.err !== undefined && Object.keys(each.err).length > 0;
        return {
          name: each.fullTitle,
          file: each.file ?? null,
          status: skipped.has(each.fullTitle) ? 'skipped' : failed ? 'failed' : 'passed',
          message: failed ? messageOf(each.err) : null,
          ms: each.duration ?? null,
        };
      });
    }
    case 'pytest': {
      const found: TestCase[] = [];
      const visit = (node: unknown): void => {
        if (Array.isArray(node)) return node.forEach(visit);
        if (node === null || typeof node !== 'object') return;
        for (const [key, value] of Object.entries(node)) {
          if (key !== 'testcase') {
            visit(value);
            continue;
          }
          for (const raw of Array.isArray(value) ? value : [value]) {
            const each = junitCase.parse(raw);
            const failure = each['failure'] ?? each['error'];
            found.push({
              name: each.name,
              file: each.classname === undefined || each.classname === '' ? null : fileOfClass(each.classname, has),
              status: failure !== undefined ? 'failed' : each['skipped'] !== undefined ? 'skipped' : 'passed',
              message: failure === undefined ? null : junitWords(failure).slice(0, 4000),
              ms: each.time === undefined ? null : each.time * 1000,
            });
          }
        }
      };
      visit(new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '', processEntities: true }).parse(report));
      return found;
    }
    case 'command':
      return [];
  }
}

/** What a JUnit report says about a failure: its text, else its short message. */
const junitWords = (failure: unknown): string => {
  if (typeof failure === 'string') return failure;
  const { '#text': text, message } = (failure ?? {}) as Record<string, unknown>;
  return [text, message].find((words) => typeof words === 'string') ?? JSON.stringify(failure);
};

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
