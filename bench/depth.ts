import { measureOf, type Measure } from './machinery/document.ts';
import { say, type Stage } from './machinery/stage.ts';
import { median, percentile } from './machinery/statistics.ts';

/** So many a second: enough for a 99th percentile, too few to wait for one another. */
const rate = 50;

interface Seen {
  readonly freshP99: number;
  readonly nextP99: number;
  readonly createdP99: number;
}

/**
 * What it costs that much is queued: tasks of one lane pile up to each depth, and meanwhile a fresh task of another lane is
 * started, a free agent of the deep lane gets its next one, and both lanes take new ones.
 */
export async function depth(stage: Stage): Promise<Measure[]> {
  const { options } = stage;
  const deep = await stage.muster('deep');
  const fresh = await stage.muster('fresh');
  const seen = new Map<number, Seen>();
  for (const wanted of [...options.depths].sort((a, b) => a - b)) {
    const start = Date.now();
    await deep.fill(wanted - deep.left);
    say(`${wanted} queued after ${((Date.now() - start) / 1000).toFixed(0)} s`);
    await stage.server.settle();
    seen.set(wanted, await look(wanted));
  }

  async function look(wanted: number): Promise<Seen> {
    const seconds = options.latencySeconds;
    // One of its own lane: nobody stands before it.
    const freshMs: number[] = [];
    const createdMs: number[] = [];
    for (let round = 0; round < options.rounds; round += 1) {
      const { startedMs, answeredMs } = await fresh.paced(rate, seconds);
      freshMs.push(percentile(startedMs, 99));
      createdMs.push(percentile(answeredMs, 99));
    }
    // In the deep lane: from the end of one task to the start of the next, one at a time.
    const nextMs = await deep.turnarounds(Math.min(200, wanted / 2));
    const found = {
      freshP99: median(freshMs),
      createdP99: median(createdMs),
      nextP99: percentile(nextMs, 99),
    };
    say(
      `  ${wanted} queued: fresh task started after p99 ${found.freshP99.toFixed(1)} ms, next of the deep lane ${found.nextP99.toFixed(1)} ms, creation answered ${found.createdP99.toFixed(1)} ms`,
    );
    return found;
  }

  const depths = [...seen.keys()];
  const [least, most] = [Math.min(...depths), Math.max(...depths)];
  const parts = [
    ['claim_fresh_p99', 'freshP99'],
    ['claim_deep_p99', 'nextP99'],
    ['create_p99', 'createdP99'],
  ] as const;
  return parts.flatMap(([name, part]) => [
    ...depths.map((one) =>
      measureOf({ name: `${name}_${one}`, unit: 'ms', better: 'lower', ours: [seen.get(one)![part]] }),
    ),
    measureOf({
      name: `${name}_growth`,
      unit: `times from ${least} to ${most}`,
      better: 'lower',
      ours: [seen.get(most)![part] / seen.get(least)![part]],
    }),
  ]);
}
