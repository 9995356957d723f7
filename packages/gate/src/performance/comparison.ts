/** How sure a verdict has to be, over all measures of a run together, each time that it is looked at. */
const doubt = 0.002;

export type Direction = 'lower' | 'higher';
/** What one round showed: the branch and the change, run one right after the other. */
export interface Pair {
  readonly base: number;
  readonly change: number;
}
export interface Comparison {
  readonly verdict: 'slower' | 'not_slower' | 'undecided';
  /** The middle of all rounds: how much worse the change is, in per cent; below 0 it is better. */
  readonly percent: number;
}

/**
 * One-sided p of the sign test: how likely so many of so many coins show heads. It asks only on which side a round lies, not how far:
 * on a shared machine one round in twenty was seen a third off, and tests that weigh by distance (Wilcoxon's, Student's) never got over those.
 */
export function signTest(heads: number, coins: number): number {
  let ways = 1;
  let atLeast = 0;
  for (let count = coins; count >= heads; count--) {
    atLeast += ways;
    ways = (ways * count) / (coins - count + 1);
  }
  return atLeast / 2 ** coins;
}

const middle = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
};

/** Below this number of rounds no outcome could be sure enough. */
export const leastRounds = (measures: number): number => Math.ceil(Math.log2(measures / doubt));

/**
 * Is the change slower than the branch by more than `slowdownPercent`? Pairs of one round are compared, so that what slows the machine
 * down for a while slows both. It is `slower` or `not_slower` only where chance is ruled out; a slowdown right at the border stays open.
 */
export function compare(
  pairs: readonly Pair[],
  better: Direction,
  slowdownPercent: number,
  measures: number,
): Comparison {
  const worse = pairs.map(({ base, change }) => Math.log(better === 'lower' ? change / base : base / change));
  const border = Math.log(1 + slowdownPercent / 100);
  const beyond = worse.map((each) => each - border);
  const percent = pairs.length === 0 ? 0 : Math.round((Math.exp(middle(worse)) - 1) * 1000) / 10;
  const sure = (heads: number): boolean => signTest(heads, pairs.length) <= doubt / measures;
  if (sure(beyond.filter((each) => each > 0).length)) return { verdict: 'slower', percent };
  if (sure(beyond.filter((each) => each < 0).length)) return { verdict: 'not_slower', percent };
  return { verdict: 'undecided', percent };
}
