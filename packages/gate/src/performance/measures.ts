import { z } from 'zod';
import type { Direction } from './comparison.ts';

export interface Measured {
  readonly name: string;
  readonly value: number;
  readonly better: Direction;
}

const name = z.string().min(1).max(200);
const figure = z.number().positive();
const samples = z.array(figure).min(1).max(1_000_000);
/** Also what github-action-benchmark calls "custom smaller is better": an array of name, unit and value. */
const own = z.object({
  name,
  value: figure.optional(),
  samples: samples.optional(),
  better: z.enum(['lower', 'higher']).default('lower'),
});
const ours = z.union([z.object({ measures: z.array(own).min(1) }), z.array(own).min(1)]);
/** `bench.tasks.map(({ name, result }) => ({ name, result }))` of tinybench, since 3 with `latency` in it. */
const middleOf = z.object({ p50: figure.optional(), mean: figure });
const tinybench = z.array(z.object({ name, result: z.union([z.object({ latency: middleOf }), middleOf]) })).min(1);
const vitest = z.object({
  files: z.array(
    z.object({
      groups: z.array(
        z.object({
          fullName: z.string(),
          benchmarks: z.array(z.object({ name, median: figure.optional(), mean: figure })),
        }),
      ),
    }),
  ),
});
const pytest = z.object({
  benchmarks: z.array(z.object({ fullname: name, stats: z.object({ median: figure }) })).min(1),
});

const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!;

function understood(document: unknown): Measured[] {
  const asOurs = ours.safeParse(document);
  if (asOurs.success) {
    const all = Array.isArray(asOurs.data) ? asOurs.data : asOurs.data.measures;
    const found = all.flatMap(({ name, value, samples, better }) => {
      const figure = samples === undefined ? value : middle(samples);
      return figure === undefined ? [] : [{ name, value: figure, better }];
    });
    if (found.length > 0) return found;
  }
  const asTinybench = tinybench.safeParse(document);
  if (asTinybench.success)
    return asTinybench.data.map(({ name, result }) => {
      const { p50, mean } = 'latency' in result ? result.latency : result;
      return { name, value: p50 ?? mean, better: 'lower' };
    });
  const asVitest = vitest.safeParse(document);
  if (asVitest.success)
    return asVitest.data.files.flatMap(({ groups }) =>
      groups.flatMap(({ fullName, benchmarks }) =>
        benchmarks.map(({ name, median, mean }): Measured => ({
          name: `${fullName} > ${name}`.slice(0, 200),
          value: median ?? mean,
          better: 'lower',
        })),
      ),
    );
  const asPytest = pytest.safeParse(document);
  if (asPytest.success)
    return asPytest.data.benchmarks.map(({ fullname, stats }) => ({
      name: fullname,
      value: stats.median,
      better: 'lower',
    }));
  return [];
}

/**
 * What a benchmark printed: one JSON document, alone or after other output, in our own form or in that of tinybench, `vitest bench`
 * or pytest-benchmark. Of measures with one name the first counts.
 */
export function measuresIn(printed: string): Measured[] {
  const text = printed.trim();
  const starts = [0, ...[...text.matchAll(/\n(?=[[{])/g)].map((match) => match.index + 1)];
  for (const start of starts.slice(0, 200)) {
    let document: unknown;
    try {
      document = JSON.parse(text.slice(start));
    } catch {
      continue;
    }
    const found = new Map<string, Measured>();
    for (const each of understood(document)) if (!found.has(each.name)) found.set(each.name, each);
    if (found.size > 0) return [...found.values()].slice(0, 200);
  }
  return [];
}
