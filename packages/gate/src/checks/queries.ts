import type { Finding } from '@muster/contracts';
import { z } from 'zod';
import type { TreeRun } from '../project/tree-run.ts';
import { findingOf, outcome, type Check } from './check.ts';

/** Where a test run that has a log of its queries may write it, one JSON object a line. */
export const queryLogVariable = 'MUSTER_QUERY_LOG';
const place = '/tmp/muster-queries.jsonl';
const mostBytes = 16 * 1024 * 1024;

const entry = z.object({
  sql: z.string().min(1),
  /** What asked: a request, a test, a job. Repeats are counted within one. */
  scope: z.string().max(1000).default(''),
  ms: z.number().nonnegative().optional(),
  /** Where in the source it was sent from, as `path:line`. */
  at: z.string().max(1200).optional(),
});

/** A statement without what differs from one call to the next: literals, places for parameters, lists, white space, comments. */
export const shapeOf = (sql: string): string =>
  sql
    .replace(/\/\*[\s\S]*?\*\/|--[^\n]*/g, ' ')
    .replace(/'(?:[^']|'')*'/g, '?')
    .replace(/\$\d+\b|:\w+\b(?<!::\w+)|\B@\w+\b/g, '?')
    .replace(/\b\d+(?:\.\d+)?\b/g, '?')
    .replace(/\(\s*\?(?:\s*,\s*\?)*\s*\)(?:\s*,\s*\(\s*\?(?:\s*,\s*\?)*\s*\))*/g, '(?)')
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase()
    .slice(0, 500);

export interface Logged {
  /** The most often that it was asked within one scope. */
  repeats: number;
  scope: string;
  slowestMs: number;
  at: string | null;
}

export function readQueryLog(text: string): { queries: number; byShape: Map<string, Logged> } {
  const counts = new Map<string, number>();
  const byShape = new Map<string, Logged>();
  let queries = 0;
  for (const line of text.split('\n')) {
    let parsed: z.output<typeof entry>;
    try {
      parsed = entry.parse(JSON.parse(line));
    } catch {
      continue;
    }
    queries++;
    const shape = shapeOf(parsed.sql);
    const key = `${parsed.scope}\0${shape}`;
    const times = (counts.get(key) ?? 0) + 1;
    counts.set(key, times);
    const known = byShape.get(shape) ?? { repeats: 0, scope: parsed.scope, slowestMs: 0, at: parsed.at ?? null };
    byShape.set(shape, {
      ...known,
      ...(times > known.repeats ? { repeats: times, scope: parsed.scope, at: parsed.at ?? known.at } : {}),
      slowestMs: Math.max(known.slowestMs, parsed.ms ?? 0),
    });
  }
  return { queries, byShape };
}

const log = async (run: TreeRun, line: string): Promise<string> =>
  (
    await run.print(
      `( export ${queryLogVariable}=${place}; ${line} ) >/dev/null 2>&1; tail -c ${mostBytes} ${place} 2>/dev/null; true`,
      {
        outputBytes: mostBytes,
      },
    )
  ).stdout;

/** Does the change ask the database the same again and again where one question would do, or something slow? */
export const queriesCheck: Check = {
  name: 'queries',
  category: 'performance',
  languages: ['*'],
  needs: ['sandbox', 'installed'],
  purposes: ['admission', 'landing'],
  afterTheOthers: true,
  async run({ policy, base, candidate, run, baseRun }) {
    const wish = policy.performance.queries;
    if (wish === undefined) return outcome('not_run', 'the project declares no query log');
    const plan = run?.commands.tests ?? null;
    const line = wish.run ?? plan?.bare ?? null;
    const before = base === null ? null : await baseRun();
    if (run === null || line === null || (base !== null && before === null))
      return outcome('not_run', 'there is no test run that could write one');
    const now = readQueryLog(await log(run, line));
    if (now.queries === 0)
      return outcome('not_run', `the test run wrote nothing to the file that ${queryLogVariable} names`);
    const then = before === null ? null : readQueryLog(await log(before, line));
    const findings: Finding[] = [];
    for (const [shape, seen] of now.byShape) {
      const old = then?.byShape.get(shape);
      const [, path, at] = /^(.+?):(\d+)(?::\d+)?$/.exec(seen.at ?? '') ?? [];
      const known = path !== undefined && candidate.has(path);
      const where = known ? { path, line: Number(at) } : {};
      // Twice as often as before is another pattern, not another fixture.
      if (seen.repeats >= wish.repeats && seen.repeats >= 2 * (old?.repeats ?? 0))
        findings.push(
          findingOf({
            check: 'queries',
            rule: 'queries.repeated',
            level: 'warning',
            message: `Asked ${seen.repeats} times within ${seen.scope === '' ? 'one run' : `“${seen.scope.slice(0, 200)}”`}${old === undefined ? '' : `, ${old.repeats} times on the branch`}: ${shape}`,
            remedy: 'Fetch all that is needed by one query, by a join or a list of keys.',
            key: shape,
            ...where,
          }),
        );
      if (seen.slowestMs >= wish.slowMs && (old?.slowestMs ?? 0) < wish.slowMs)
        findings.push(
          findingOf({
            check: 'queries',
            rule: 'queries.slow',
            // Time is no fact that comes out the same each time; it is shown and not charged.
            level: 'note',
            message: `Took ${Math.round(seen.slowestMs)} ms, ${old === undefined ? 'and is new' : `${Math.round(old.slowestMs)} ms on the branch`}: ${shape}`,
            remedy: 'Look at its plan with `explain analyze`; an index or a narrower condition may be missing.',
            key: shape,
            ...where,
          }),
        );
    }
    const repeated = findings.filter((each) => each.rule === 'queries.repeated').length;
    return outcome(
      findings.length > 0 ? 'failed' : 'passed',
      `${now.queries} queries of ${now.byShape.size} kinds; ${repeated} repeated, ${findings.length - repeated} slow, that were not so on the branch`,
      findings,
      { queries: now.queries, kinds: now.byShape.size, repeated, slow: findings.length - repeated },
    );
  },
};
