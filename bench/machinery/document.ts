import { z } from 'zod';
import { median } from './statistics.ts';

const figure = z.number().nullable();

/** One line of a bench: ours, the peers', and what the machine allows, in the same unit and from the same run. */
export const measure = z.strictObject({
  name: z.string(),
  unit: z.string(),
  better: z.enum(['higher', 'lower']),
  ours: z.number(),
  peers: z.record(z.string(), z.number()),
  /** What the machine allows for this, measured in the same run; null where nothing sensible bounds it. */
  limit: figure,
  /** Ours against the best peer that counts; above 1 always means that ours is better. Null without such a peer. */
  ratio: figure,
});
export type Measure = z.infer<typeof measure>;

/** What `npm run bench -- NAME --json` prints. */
export const benchDocument = z.strictObject({
  bench: z.string(),
  machine: z.record(z.string(), z.union([z.string(), z.number()])),
  versions: z.record(z.string(), z.string()),
  measures: z.array(measure),
});
export type BenchDocument = z.infer<typeof benchDocument>;

export interface Samples {
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** One figure for each round. */
  readonly ours: readonly number[];
  readonly peers?: Readonly<Record<string, readonly number[]>>;
  readonly limit?: readonly number[];
}

/** Which peers count for the ratio: those that keep their jobs where we keep ours, and those that do the very same. */
export const rivals: readonly string[] = [
  'graphile-worker',
  'pg-boss',
  'git http-backend',
  'one after another',
  'by hand',
];

export function measureOf({ name, unit, better, ours, peers = {}, limit = [] }: Samples): Measure {
  const middles = Object.fromEntries(
    Object.entries(peers)
      .filter(([, rounds]) => rounds.length > 0)
      .map(([peer, rounds]) => [peer, tidy(median(rounds))]),
  );
  const mine = median(ours);
  return {
    name,
    unit,
    better,
    ours: tidy(mine),
    peers: middles,
    limit: limit.length === 0 ? null : tidy(median(limit)),
    ratio: ratioOf(mine, middles, better),
  };
}

function ratioOf(ours: number, peers: Readonly<Record<string, number>>, better: 'higher' | 'lower'): number | null {
  const theirs = rivals.flatMap((peer) => (peers[peer] === undefined ? [] : [peers[peer]]));
  if (theirs.length === 0) return null;
  const best = better === 'higher' ? Math.max(...theirs) : Math.min(...theirs);
  const [above, below] = better === 'higher' ? [ours, best] : [best, ours];
  // Against nothing there is no ratio: peers that keep no row of what is done, for instance.
  return best === 0 || below === 0 ? null : tidy(above / below);
}

/** Three figures are more than the noise allows anyway. */
export function tidy(value: number): number {
  if (!Number.isFinite(value)) throw new Error(`${value} is no figure.`);
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}
