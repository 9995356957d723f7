/** What is made of the figures of several rounds. Pure, so that a test can own it. */

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('There is no median of nothing.');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The nearest-rank percentile: a value that was really measured, never one between two. */
export function percentile(values: readonly number[], percent: number): number {
  if (values.length === 0) throw new Error('There is no percentile of nothing.');
  if (percent <= 0 || percent > 100) throw new Error(`There is no ${percent}th percentile.`);
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil((percent / 100) * sorted.length) - 1]!;
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** How much wider the rounds lie apart than their middle is high: 0.1 means that they spread over a tenth of it. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}
/** Least squares through the points: how much y grows when x grows by one. */
export function slope(points: readonly Point[]): number {
  if (points.length < 2) throw new Error('A slope needs two points.');
  const meanX = mean(points.map(({ x }) => x));
  const meanY = mean(points.map(({ y }) => y));
  const across = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  if (across === 0) throw new Error('A slope needs two points that lie apart.');
  return points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / across;
}

export interface Reading {
  readonly atUs: number;
  readonly count: number;
}
/**
 * Tasks per second between the moments at which a tenth and nine tenths of them were through: the start, in which nothing
 * is under way yet, and the end, in which nothing follows, are no steady state.
 */
export function steadyRate(readings: readonly Reading[], total: number): number {
  const momentOf = (count: number): Reading => {
    const found = readings.find((reading) => reading.count >= count);
    if (found === undefined) throw new Error(`Only ${readings.at(-1)?.count ?? 0} of ${total} are through.`);
    return found;
  };
  const from = momentOf(total * 0.1);
  const to = momentOf(total * 0.9);
  if (to.atUs <= from.atUs) return total / Math.max(1e-6, (readings.at(-1)!.atUs - readings[0]!.atUs) / 1e6);
  return (to.count - from.count) / ((to.atUs - from.atUs) / 1e6);
}
