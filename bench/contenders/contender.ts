import { nowUs, sleep, until } from '../machinery/clock.ts';
import { processSeconds } from '../machinery/processor-time.ts';
import { steadyRate, type Reading } from '../machinery/statistics.ts';
import type { Footprint } from '../machinery/postgres.ts';
import type { Plan, Tuning } from './parts.ts';
import { WorkerProcess } from './worker-process.ts';

export interface ContenderOptions {
  /** Which parts its processes load. */
  readonly kind: 'muster' | 'graphile-worker' | 'pg-boss' | 'bullmq' | 'sql';
  /** How the document calls it. */
  readonly name: string;
  /** Processes that do tasks. */
  readonly consumers: number;
  readonly plan: Omit<Plan, 'tuning' | 'callers'>;
  /** Takes away what earlier rounds have left, so that the next one starts as the first did. */
  readonly reset: (contender: Contender) => Promise<void>;
  /** Processor seconds of what serves it: PostgreSQL, Redis, Muster's server. */
  readonly servedBy: () => Readonly<Record<string, number>>;
  readonly footprint: (() => Promise<Footprint>) | null;
  /** Keeps an old snapshot open in its database until told otherwise. */
  readonly holdSnapshot: (() => Promise<() => Promise<void>>) | null;
  readonly profileFolder: string | null;
}

export interface FlowOptions {
  readonly count: number;
  readonly batch: number;
  readonly callers: number;
  readonly window: number;
}
/** A figure, and which process spent how much processor time on each task for it. */
export interface Outcome {
  readonly perSecond: number;
  readonly costUs: Readonly<Record<string, number>>;
}

interface Ended {
  readonly accepted: number;
  readonly latenciesMs: number[];
  readonly startsUs: number[];
}
interface Paced {
  readonly sent: number;
  readonly answeredMs: number[];
}
interface Created {
  readonly count: number;
  readonly seconds: number;
}

/** Nobody's figure is worth waiting longer for. */
const patienceSeconds = 1_200;

/** One of those that are compared: ours, a peer or the machine itself, all asked to do the same in the same words. */
export class Contender {
  readonly name: string;
  readonly options: ContenderOptions;
  readonly #producer: WorkerProcess;
  readonly #consumers: WorkerProcess[];
  /** Stored and not done. */
  #left = 0;

  constructor(options: ContenderOptions) {
    this.name = options.name;
    this.options = options;
    this.#producer = new WorkerProcess(options.kind, 'producer', options.profileFolder);
    this.#consumers = Array.from(
      { length: options.consumers },
      () => new WorkerProcess(options.kind, 'consumer', options.profileFolder),
    );
  }

  async reset(): Promise<void> {
    await this.options.reset(this);
    this.#left = 0;
  }

  async stop(): Promise<void> {
    await Promise.all([this.#producer, ...this.#consumers].map((one) => one.stop()));
  }

  /** Stored first, then done: tasks per second from the first start to the last acceptance. */
  async drain(count: number): Promise<Outcome> {
    await this.#open('throughput', 4);
    await this.#producer.do({ verb: 'fill', count, batch: 1000, callers: 4 });
    await this.#producer.do({ verb: 'close' });
    const cost = this.#costs();
    const work = await this.#consume('throughput');
    await work.until(count);
    work.assertExactly(count);
    const settledUs = await this.#settled();
    const costUs = cost(count);
    await work.stop();
    const lastUs = this.options.kind === 'graphile-worker' ? settledUs : work.lastUs();
    return { perSecond: count / ((lastUs - work.firstUs()) / 1e6), costUs };
  }

  /** One task for each call, nobody takes them: calls answered per second. */
  async createOnes(seconds: number, callers: number): Promise<Outcome> {
    await this.#open('throughput', callers);
    // So that connections stand and code is warm, for everybody.
    const warm = await this.#producer.do<Created>({ verb: 'ones', seconds: 0.3, callers });
    const cost = this.#costs();
    const done = await this.#producer.do<Created>({ verb: 'ones', seconds, callers });
    this.#left += warm.count + done.count;
    const costUs = cost(done.count);
    await this.#producer.do({ verb: 'close' });
    return { perSecond: done.count / done.seconds, costUs };
  }

  async createBulk(seconds: number, batch: number, callers: number): Promise<Outcome> {
    await this.#open('throughput', callers);
    const warm = await this.#producer.do<Created>({ verb: 'bulk', seconds: 0.2, batch, callers });
    const cost = this.#costs();
    const done = await this.#producer.do<Created>({ verb: 'bulk', seconds, batch, callers });
    this.#left += warm.count + done.count;
    const costUs = cost(done.count);
    await this.#producer.do({ verb: 'close' });
    return { perSecond: done.count / done.seconds, costUs };
  }

  /** Created, dispatched and done at the same time: tasks per second in the steady middle of it. */
  async flow({ count, batch, callers, window }: FlowOptions): Promise<Outcome> {
    await this.#open('throughput', callers);
    const work = await this.#consume('throughput');
    await sleep(200);
    const cost = this.#costs();
    const readings: Reading[] = [{ count: 0, atUs: nowUs() }];
    work.onProgress((accepted, atUs) => {
      readings.push({ count: accepted, atUs });
      this.#producer.tellAccepted(accepted);
    });
    await this.#producer.do({ verb: 'flow', count, batch, callers, window });
    await work.until(count);
    work.assertExactly(count);
    await this.#settled();
    const costUs = cost(count);
    await work.stop();
    await this.#producer.do({ verb: 'close' });
    return { perSecond: steadyRate(readings, count), costUs };
  }

  /** Milliseconds from asking for a task to its start, at so many a second. */
  async latency(rate: number, seconds: number): Promise<number[]> {
    await this.#open('latency', 64);
    return (await this.paced(rate, seconds)).startedMs;
  }

  /** Creates at a steady pace what is done at once: how long each took to be answered, and to be started. */
  async paced(rate: number, seconds: number): Promise<{ startedMs: number[]; answeredMs: number[] }> {
    await this.#open('latency', 64);
    const work = await this.#consume('latency');
    await sleep(500);
    // The first second warms everything up.
    const warm = await this.#producer.do<Paced>({ verb: 'pace', rate, seconds: 1 });
    await work.until(warm.sent);
    const done = await this.#producer.do<Paced>({ verb: 'pace', rate, seconds });
    await work.until(warm.sent + done.sent);
    work.assertExactly(warm.sent + done.sent);
    const { latenciesMs } = await work.stop();
    await this.#producer.do({ verb: 'close' });
    return { startedMs: latenciesMs.slice(warm.sent), answeredMs: done.answeredMs };
  }

  /** Stores so many more, unmeasured. */
  async fill(count: number): Promise<void> {
    await this.#open('throughput', 8);
    await this.#producer.do({ verb: 'fill', count, batch: 1000, callers: 4 });
    await this.#producer.do({ verb: 'close' });
    this.#left += count;
  }

  /** One at a time out of what is stored: milliseconds from one start to the next, the end of the first in between. */
  async turnarounds(count: number): Promise<number[]> {
    const work = await this.#consume('latency', 1);
    await work.until(count);
    const { accepted, startsUs } = await work.stop();
    this.#left -= accepted;
    return startsUs.slice(1, count).map((start, index) => (start - startsUs[index]!) / 1000);
  }

  /** Stored and not done. */
  get left(): number {
    return this.#left;
  }

  /** Its tasks are done as they come while this goes on. */
  async whileConsuming<T>(
    tuning: Tuning,
    during: (create: (rate: number, seconds: number) => Promise<void>) => Promise<T>,
  ): Promise<T> {
    await this.#open(tuning, 64);
    const work = await this.#consume(tuning);
    try {
      return await during(async (rate, seconds) => {
        const { sent } = await this.#producer.do<Paced>({ verb: 'pace', rate, seconds });
        await work.until(sent);
      });
    } finally {
      await work.stop();
      await this.#producer.do({ verb: 'close' });
    }
  }

  /** Does whatever is stored, unmeasured. */
  async finishRest(): Promise<void> {
    if (this.#left === 0) return;
    const work = await this.#consume('throughput');
    await work.until(this.#left);
    work.assertExactly(this.#left);
    await work.stop();
  }

  #plan(tuning: Tuning, callers: number): Plan {
    return { ...this.options.plan, tuning, callers };
  }

  #open(tuning: Tuning, callers: number): Promise<void> {
    return this.#producer.do({ verb: 'open', plan: this.#plan(tuning, callers) });
  }

  async #settled(): Promise<number> {
    const moments = await Promise.all(this.#consumers.map((one) => one.do<number>({ verb: 'settled' })));
    return Math.max(...moments);
  }

  async #consume(tuning: Tuning, capacity?: number) {
    const counts = this.#consumers.map(() => 0);
    const moments = { first: Number.POSITIVE_INFINITY, last: 0 };
    let listener: (accepted: number, atUs: number) => void = () => {};
    const total = (): number => counts.reduce((sum, count) => sum + count, 0);
    this.#consumers.forEach((one, index) => {
      one.onProgress = (progress) => {
        counts[index] = progress.accepted;
        if (progress.firstStartedUs > 0) moments.first = Math.min(moments.first, progress.firstStartedUs);
        moments.last = Math.max(moments.last, progress.atUs);
        listener(total(), progress.atUs);
      };
    });
    await Promise.all(
      this.#consumers.map((one) =>
        one.do({ verb: 'start', plan: { ...this.#plan(tuning, 1), ...(capacity === undefined ? {} : { capacity }) } }),
      ),
    );
    return {
      onProgress: (told: typeof listener): void => void (listener = told),
      firstUs: (): number => moments.first,
      lastUs: (): number => moments.last,
      until: async (count: number): Promise<void> => {
        let before = { count: -1, atUs: nowUs() };
        await until(
          `${this.name} doing ${count} tasks`,
          patienceSeconds,
          () => {
            if (total() !== before.count) before = { count: total(), atUs: nowUs() };
            else if (nowUs() - before.atUs > 60e6)
              throw new Error(`${this.name} stands still at ${total()} of ${count} tasks.`);
            return total() >= count;
          },
          5,
        );
      },
      /** Not one more either: a task that is accepted twice is no speed. */
      assertExactly: (count: number): void => {
        if (total() !== count) throw new Error(`${this.name} accepted ${total()} tasks of ${count}.`);
      },
      stop: async (): Promise<Ended> => {
        const ends = await Promise.all(this.#consumers.map((one) => one.do<Ended>({ verb: 'stop' })));
        return {
          accepted: ends.reduce((sum, end) => sum + end.accepted, 0),
          latenciesMs: ends.flatMap((end) => end.latenciesMs),
          startsUs: ends.flatMap((end) => end.startsUs),
        };
      },
    };
  }

  #costs(): (tasks: number) => Record<string, number> {
    const look = (): Record<string, number> => ({
      producer: this.#producer.processorSeconds,
      consumer: this.#consumers.reduce((sum, one) => sum + one.processorSeconds, 0),
      bench: processSeconds(process.pid),
      ...this.options.servedBy(),
    });
    const before = look();
    return (tasks) =>
      Object.fromEntries(
        Object.entries(look()).map(([who, seconds]) => [who, ((seconds - (before[who] ?? 0)) * 1e6) / tasks]),
      );
  }
}
