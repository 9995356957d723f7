/**
 * Rounds of several contenders, interleaved: whatever else the machine does meets all of them alike. Each round begins with
 * another one, so that nobody always runs behind the same neighbour.
 */
export async function interleaved<T>(
  contenders: readonly string[],
  rounds: number,
  play: (contender: string, round: number) => Promise<T>,
): Promise<Record<string, T[]>> {
  const results: Record<string, T[]> = Object.fromEntries(contenders.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1)
    for (let place = 0; place < contenders.length; place += 1) {
      const name = contenders[(place + round) % contenders.length]!;
      results[name]!.push(await play(name, round));
    }
  return results;
}
