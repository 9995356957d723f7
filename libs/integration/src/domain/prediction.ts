/** The middle one of the last ones; they differ too much for a mean. */
const median = (values: readonly number[]): number | null =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;

/**
 * When each in line will probably have landed: its verification takes as long as the last ones did, nobody lands before those ahead
 * of it, and who is behind the window waits for as many rounds.
 */
export function predictedLandings(
  line: ReadonlyArray<{ readonly suspect: boolean; readonly candidate_since: string | null }>,
  window: number,
  lastSeconds: readonly number[],
  now: Date,
): (Date | null)[] {
  const usual = median(lastSeconds);
  let expected = 0;
  let latest = now.getTime();
  return line.map(({ suspect, candidate_since: since }) => {
    if (usual === null || suspect) return null;
    const rounds = Math.floor(expected / window);
    expected += 1;
    const begun = rounds === 0 && since !== null ? Date.parse(since) : now.getTime() + rounds * usual * 1000;
    latest = Math.max(latest, begun + usual * 1000);
    return new Date(latest);
  });
}
