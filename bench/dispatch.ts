import type { Contender, Outcome } from './contenders/contender.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { growthPerTask, type Growth } from './machinery/postgres.ts';
import { interleaved } from './machinery/rounds.ts';
import { say, type Stage } from './machinery/stage.ts';
import { mean, median, percentile, spread } from './machinery/statistics.ts';

const flowBatch = 500;
const flowCallers = 4;
/** Created and not yet done at any moment of a flow. */
const flowWindow = 10_000;
const bulkBatch = 1000;
const bulkCallers = 4;
const latencyRates = [100, 500];

/** Everything that dispatch does, ours and the peers', round by round. */
export async function dispatch(stage: Stage): Promise<Measure[]> {
  const { options } = stage;
  const everybody = [await stage.muster('dispatch'), ...(await stage.peers())];
  const limit = await stage.limit();
  if (limit !== null) everybody.push(limit);
  const bench = new DispatchBench(everybody, options.rounds);
  const isAsked = (name: string): boolean => options.only === null || options.only.includes(name);

  say('warming everybody up');
  for (const contender of everybody) await contender.flow({ ...flowOf(options.flow / 10), window: flowWindow });
  await bench.resetAll();

  const measures: Measure[] = [];
  const flow = flowOf(options.flow);
  if (isAsked('flow'))
    measures.push(await bench.throughput('flow', (contender) => contender.flow({ ...flow, window: flowWindow })));
  if (isAsked('flow_old_snapshot')) measures.push(...(await bench.underOldSnapshot(flow, measures[0] ?? null)));
  if (isAsked('drain')) for (const count of options.drains) measures.push(...(await bench.drain(count)));
  for (const callers of [24, 256])
    if (isAsked(`create_${callers}`))
      measures.push(
        await bench.throughput(`create_${callers}`, (contender) =>
          contender.createOnes(options.createSeconds, callers),
        ),
      );
  if (isAsked('create_bulk'))
    measures.push(
      await bench.throughput('create_bulk', (contender) =>
        contender.createBulk(options.createSeconds, bulkBatch, bulkCallers),
      ),
    );
  if (isAsked('latency'))
    for (const rate of latencyRates) measures.push(...(await bench.latency(rate, options.latencySeconds)));
  return measures;
}

const flowOf = (count: number) => ({
  count: Math.max(100, Math.round(count)),
  batch: flowBatch,
  callers: flowCallers,
});

class DispatchBench {
  readonly #contenders: ReadonlyMap<string, Contender>;
  readonly #rounds: number;

  constructor(contenders: readonly Contender[], rounds: number) {
    this.#contenders = new Map(contenders.map((contender) => [contender.name, contender]));
    this.#rounds = rounds;
  }

  async resetAll(): Promise<void> {
    for (const contender of this.#contenders.values()) await contender.reset();
  }

  async throughput(name: string, play: (contender: Contender) => Promise<Outcome>): Promise<Measure> {
    const rounds = await this.#play(name, [...this.#contenders.keys()], async (contender) => {
      const outcome = await play(contender);
      tell(name, contender.name, outcome);
      return outcome.perSecond;
    });
    return this.#measure(name, 'tasks/s', 'higher', rounds);
  }

  /** @param without the flow of the same run, or null when it was not asked for */
  async underOldSnapshot(flow: ReturnType<typeof flowOf>, without: Measure | null): Promise<Measure[]> {
    const name = 'flow_old_snapshot';
    const able = [...this.#contenders.values()].filter((one) => one.options.holdSnapshot !== null);
    const rounds = await this.#play(
      name,
      able.map((one) => one.name),
      async (contender) => {
        const release = await contender.options.holdSnapshot?.();
        try {
          const outcome = await contender.flow({ ...flow, window: flowWindow });
          tell(name, contender.name, outcome);
          return outcome.perSecond;
        } finally {
          await release?.();
        }
      },
    );
    const measure = this.#measure(name, 'tasks/s', 'higher', rounds);
    if (without === null) return [measure];
    const share = (snapshot: number | undefined, plain: number | undefined): number[] =>
      snapshot === undefined || plain === undefined ? [] : [snapshot / plain];
    return [
      measure,
      measureOf({
        name: `${name}_share`,
        unit: 'of flow',
        better: 'higher',
        ours: [measure.ours / without.ours],
        peers: Object.fromEntries(
          Object.entries(measure.peers).map(([peer, value]) => [peer, share(value, without.peers[peer])]),
        ),
        limit: share(measure.limit ?? undefined, without.limit ?? undefined),
      }),
    ];
  }

  async drain(count: number): Promise<Measure[]> {
    const name = `drain_${count}`;
    const growth: Record<string, Growth[]> = {};
    const rounds = await this.#play(name, [...this.#contenders.keys()], async (contender) => {
      const { footprint } = contender.options;
      const before = await footprint?.();
      const outcome = await contender.drain(count);
      const after = await footprint?.();
      if (before !== undefined && after !== undefined)
        (growth[contender.name] ??= []).push(growthPerTask(before, after, count));
      tell(name, contender.name, outcome);
      return outcome.perSecond;
    });
    const kept = (part: 'rows' | 'bytes' | 'walBytes') =>
      Object.fromEntries(Object.entries(growth).map(([who, seen]) => [who, seen.map((one) => one[part])]));
    for (const [who, seen] of Object.entries(growth)) {
      const places = seen
        .at(-1)!
        .tables.map(({ table, rows, bytes }) => `${table} ${rows.toFixed(2)} rows ${bytes.toFixed(0)} bytes`);
      say(`  ${name}: one task of ${who} leaves ${places.join(', ') || 'nothing'}`);
    }
    return [
      this.#measure(name, 'tasks/s', 'higher', rounds),
      this.#measure(`${name}_rows_kept`, 'rows/task', 'lower', kept('rows')),
      this.#measure(`${name}_bytes_kept`, 'bytes/task', 'lower', kept('bytes')),
      this.#measure(`${name}_wal`, 'bytes/task', 'lower', kept('walBytes')),
      ...(growth['muster']?.at(-1)?.tables ?? []).map(({ table, bytes }) =>
        measureOf({ name: `${name}_bytes_kept:${table}`, unit: 'bytes/task', better: 'lower', ours: [bytes] }),
      ),
    ];
  }

  async latency(rate: number, seconds: number): Promise<Measure[]> {
    const rounds = await this.#play(`latency at ${rate}/s`, [...this.#contenders.keys()], async (contender) => {
      const latencies = await contender.latency(rate, seconds);
      const [p50, p99] = [percentile(latencies, 50), percentile(latencies, 99)];
      say(
        `  latency at ${rate}/s: ${contender.name} p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, mean ${mean(latencies).toFixed(2)} ms`,
      );
      return { p50, p99 };
    });
    return (['p50', 'p99'] as const).map((part) =>
      this.#measure(
        `latency_${part}_${rate}`,
        'ms',
        'lower',
        Object.fromEntries(Object.entries(rounds).map(([who, seen]) => [who, seen.map((one) => one[part])])),
      ),
    );
  }

  async #play<T>(
    name: string,
    contenders: readonly string[],
    play: (contender: Contender) => Promise<T>,
  ): Promise<Record<string, T[]>> {
    say(`${name}, ${this.#rounds} ${this.#rounds === 1 ? 'round' : 'rounds'}`);
    return interleaved(contenders, this.#rounds, async (who) => {
      const contender = this.#contenders.get(who)!;
      const result = await play(contender);
      await contender.reset();
      return result;
    });
  }

  #measure(
    name: string,
    unit: string,
    better: 'higher' | 'lower',
    rounds: Readonly<Record<string, readonly number[]>>,
  ): Measure {
    const { muster: ours = [], limit = [], ...peers } = rounds;
    const measure = measureOf({ name, unit, better, ours, peers, limit });
    const wide = Object.entries(rounds).map(
      ([who, seen]) => `${who} ${median(seen).toPrecision(4)} ±${(spread(seen) * 50).toFixed(0)} %`,
    );
    say(`  ${name}: ${wide.join(', ')}${measure.ratio === null ? '' : `; ratio ${measure.ratio}`}`);
    return measure;
  }
}

const tell = (name: string, contender: string, { perSecond, costUs }: Outcome): void =>
  say(
    `  ${name}: ${contender} ${Math.round(perSecond)}/s; processor time for a task: ${Object.entries(costUs)
      .map(([who, us]) => `${who} ${us.toFixed(0)}`)
      .join(', ')} µs`,
  );
