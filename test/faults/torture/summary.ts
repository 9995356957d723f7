import type { Report } from './run.ts';

const counted = ['lost', 'unexpected', 'acceptedTwice', 'reclaimP99Ms', 'drainedAfterMs'] as const;

/** What many seeds came to: the worst of each, and which were not ok. Null: one of them gave up before it was known. */
export function summaryOfSeeds(reports: readonly Report[]): object {
  const worst = (name: (typeof counted)[number]): number | null =>
    reports.reduce<number | null>((most, { [name]: value }) => {
      if (most === null || value === null) return null;
      return Math.max(most, value);
    }, 0);
  const least = (values: readonly (number | null)[]): number | null =>
    values.reduce((a, b) => (a === null || b === null ? null : Math.min(a, b)), values[0] ?? null);
  return {
    seeds: reports.length,
    seconds: reports[0]?.seconds ?? 0,
    ok: reports.length > 0 && reports.every(({ ok }) => ok),
    notOk: reports.filter(({ ok }) => !ok).map(({ seed, reasons }) => ({ seed, reasons })),
    worst: Object.fromEntries(counted.map((name) => [name, worst(name)])),
    fewest: { tasks: least(reports.map(({ tasks }) => tasks)), kills: least(reports.map(({ kills }) => kills)) },
  };
}
