import type { BenchmarkPolicy, Finding } from '@muster/contracts';
import picomatch from 'picomatch';
import { compare, leastRounds, type Comparison, type Pair } from '../performance/comparison.ts';
import { measuresIn, type Measured } from '../performance/measures.ts';
import { lineOf, scriptsOf } from '../project/scripts.ts';
import type { TreeRun } from '../project/tree-run.ts';
import type { SourceTree } from '../source/tree.ts';
import { benchmarkPolicy } from '@muster/contracts';
import { findingOf, lastLines, outcome, type Check, type CheckContext, type CheckOutcome } from './check.ts';

/** The script that a project without a word about benchmarks in its `muster.yaml` may have. */
const customaryScript = 'bench:json';

interface Laid {
  overrides: ReadonlyMap<string, string>;
  added: ReadonlyMap<string, string>;
}
/** The branch's benchmark files over the change: who is measured does not bring the ruler. */
function rulerOf(base: SourceTree, candidate: SourceTree, globs: readonly string[]): Laid {
  const isRuler = picomatch([...globs], { dot: true });
  const overrides = new Map<string, string>();
  const added = new Map<string, string>();
  for (const path of base.files.keys()) {
    if (!isRuler(path) || base.content(path) === candidate.content(path)) continue;
    const text = base.text(path);
    if (text !== null) (candidate.has(path) ? overrides : added).set(path, text);
  }
  return { overrides, added };
}
const unlaid: Laid = { overrides: new Map(), added: new Map() };

interface Looked {
  status: CheckOutcome['status'];
  summary: string;
  findings: Finding[];
  metrics: Record<string, number>;
  /** What both sides measured in each round, by measure. */
  rounds?: Record<string, Pair[]>;
}

async function measure(run: TreeRun, benchmark: BenchmarkPolicy, line: string, laid: Laid) {
  const report = benchmark.report?.replaceAll("'", "'\\''");
  const whole = report === undefined ? line : `( ${line} ) >&2 && cat './${report}'`;
  const result = await run.print(whole, { ...laid, timeoutMs: benchmark.timeoutSeconds * 1000 });
  return { ...result, measures: result.ok ? measuresIn(result.stdout) : [] };
}

const why = (result: { ok: boolean; timedOut: boolean; exitCode: number | null; output: string }): string =>
  result.ok
    ? 'printed no measures that the gate understands'
    : result.timedOut
      ? 'ran out of time'
      : `ended with exit code ${result.exitCode}: ${lastLines(result.output, 5)}`;

async function look(
  benchmark: BenchmarkPolicy,
  line: string,
  trees: { base: SourceTree; candidate: SourceTree; before: TreeRun; after: TreeRun },
  { signal, progress }: Pick<CheckContext, 'signal' | 'progress'>,
): Promise<Looked> {
  const { base, candidate, before, after } = trees;
  const nothing = (status: CheckOutcome['status'], summary: string, findings: Finding[] = []): Looked => ({
    status,
    summary: `${benchmark.name}: ${summary}`,
    findings,
    metrics: {},
  });
  const laid = rulerOf(base, candidate, benchmark.files);
  const altered = laid.overrides.size + laid.added.size > 0;
  // The first round warms caches and shows who can be measured at all; it does not count.
  const known = await measure(before, benchmark, line, unlaid);
  if (known.measures.length === 0) return nothing('not_run', `on the branch it ${why(known)}`);
  const first = await measure(after, benchmark, line, laid);
  const broken = (message: string): Looked =>
    nothing('failed', message, [
      findingOf({
        check: 'benchmarks',
        rule: 'benchmarks.broken',
        level: 'note',
        message: `The benchmark ${benchmark.name} works on the branch, and ${message}.`,
        remedy: `Run \`${line}\` and make it print what it printed before.`,
        key: benchmark.name,
      }),
    ]);
  if (first.measures.length === 0) {
    const own = altered ? await measure(after, benchmark, line, unlaid) : first;
    return own.measures.length > 0
      ? nothing(
          'inconclusive',
          'the change alters it, and the branch’s does not run on the change; a person has to look',
        )
      : broken(`with the change it ${why(own)}`);
  }
  const wanted = known.measures;
  const gone = wanted.filter(({ name }) => !first.measures.some((each) => each.name === name));
  if (gone.length > 0) return broken(`with the change it measures no ${gone.map(({ name }) => name).join(', ')}`);

  const pairs = new Map<string, Pair[]>(wanted.map(({ name }) => [name, []]));
  const settled = new Map<string, Comparison & { rounds: number }>();
  const least = leastRounds(wanted.length);
  const until = performance.now() + benchmark.mostSeconds * 1000;
  let rounds = 0;
  while (settled.size < wanted.length && rounds < benchmark.mostRounds && performance.now() < until) {
    signal?.throwIfAborted();
    // In turns, so that neither side always has the warmer machine.
    let theirs: Measured[];
    let ours: Measured[];
    if (rounds % 2 === 0) {
      theirs = (await measure(before, benchmark, line, unlaid)).measures;
      ours = (await measure(after, benchmark, line, laid)).measures;
    } else {
      ours = (await measure(after, benchmark, line, laid)).measures;
      theirs = (await measure(before, benchmark, line, unlaid)).measures;
    }
    rounds++;
    for (const { name, better } of wanted) {
      const [base, change] = [theirs, ours].map((side) => side.find((each) => each.name === name)?.value);
      if (base !== undefined && change !== undefined) pairs.get(name)!.push({ base, change });
      if (settled.has(name) || pairs.get(name)!.length < least) continue;
      const seen = compare(pairs.get(name)!, better, benchmark.slowdownPercent, wanted.length);
      if (seen.verdict !== 'undecided') settled.set(name, { ...seen, rounds });
    }
    progress(rounds / benchmark.mostRounds, `benchmark ${benchmark.name}, round ${rounds}`);
  }

  const metrics: Record<string, number> = { [`${benchmark.name}.rounds`]: rounds };
  const findings: Finding[] = [];
  const open: string[] = [];
  for (const { name, better } of wanted) {
    const seen = settled.get(name) ?? compare(pairs.get(name)!, better, benchmark.slowdownPercent, wanted.length);
    metrics[`${benchmark.name}.${name}.percent`] = seen.percent;
    if (!settled.has(name)) open.push(name);
    else if (seen.verdict === 'slower')
      findings.push(
        findingOf({
          check: 'benchmarks',
          rule: 'benchmarks.slower',
          level: 'note',
          message: `${benchmark.name}: ${name} is ${seen.percent} % slower than on the branch, seen in ${rounds} rounds; ${benchmark.slowdownPercent} % are let pass.`,
          remedy: `Compare \`${line}\` on the branch and here, and make it as fast as before; or have a maintainer raise \`slowdownPercent\`.`,
          key: `${benchmark.name} ${name}`,
        }),
      );
  }
  const counted = `${wanted.length} measures in ${rounds} rounds`;
  return {
    status: findings.length > 0 ? 'failed' : open.length > 0 ? 'inconclusive' : 'passed',
    summary:
      findings.length > 0
        ? `${benchmark.name}: ${findings.length} of ${counted} slower`
        : open.length > 0
          ? `${benchmark.name}: after ${rounds} rounds the noise is too great to tell for ${open.slice(0, 5).join(', ')}`
          : `${benchmark.name}: ${counted}, none more than ${benchmark.slowdownPercent} % slower`,
    findings,
    metrics,
    rounds: Object.fromEntries(pairs),
  };
}

/**
 * Do the project's own benchmarks take longer than on the branch? Both are run in turns until it is sure, either way. Its verdict is
 * its own: what it finds costs no points, because a score has to come out the same each time. `required: [benchmarks]` makes it refuse.
 */
export const benchmarksCheck: Check = {
  name: 'benchmarks',
  category: 'performance',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  afterTheOthers: true,
  async run(context) {
    const { policy, base, candidate, run, baseRun } = context;
    const script = base === null ? null : lineOf(scriptsOf(base), customaryScript);
    const benchmarks =
      policy.performance.benchmarks ??
      (script === null ? [] : [benchmarkPolicy.parse({ name: customaryScript, run: script })]);
    if (benchmarks.length === 0) return outcome('not_run', 'the project declares no benchmarks');
    if (base === null) return outcome('not_run', 'there is nothing to compare with yet');
    const before = await baseRun();
    if (run === null || before === null) return outcome('not_run', 'the branch could not be made ready to run');
    const looked: Looked[] = [];
    for (const each of benchmarks) {
      const line = each.run.replace(
        /^npm run ([\w:.-]+)$/,
        (whole, name: string) => lineOf(scriptsOf(base), name) ?? whole,
      );
      looked.push(await look(each, line, { base, candidate, before, after: run }, context));
    }
    const worst = (['failed', 'inconclusive', 'not_run'] as const).find((status) =>
      looked.some((each) => each.status === status),
    );
    const result = outcome(
      worst ?? 'passed',
      looked.map((each) => each.summary).join('; '),
      looked.flatMap((each) => each.findings),
      Object.assign({}, ...looked.map((each) => each.metrics)) as Record<string, number>,
    );
    const rounds = Object.fromEntries(benchmarks.map(({ name }, index) => [name, looked[index]?.rounds ?? {}]));
    return {
      ...result,
      artefacts: [
        { name: 'benchmarks.json', mediaType: 'application/json', text: JSON.stringify({ rounds }, null, 2) },
      ],
    };
  },
};
