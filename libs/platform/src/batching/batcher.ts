import { context, type Histogram, metrics, ROOT_CONTEXT } from '@opentelemetry/api';
import { isConnectionBroken, sqlState } from '#platform/database';
import { Overloaded } from './batching.errors.ts';
import { FairQueue } from './fair-queue.ts';

/** An item's answer where a row that it needs is somebody else's at this moment: nothing of it was written, and it goes into a later batch. */
export const later = Symbol('later');
/** By then a commit is over. A holder that is stopped is rid of its rows after two seconds. */
const laterMs = 10;
const mostLaterMs = 160;
const longestMs = 15_000;

export interface BatcherOptions<In, Out> {
  /** What is written, in metrics and errors: `task creations`. */
  readonly name: string;
  /**
   * Writes all of them in one statement that commits by itself (or one transaction), and answers each in its place. What
   * concerns a single item (a conflict, a lost lease) is an answer, not an error. One whose row is locked is answered with `later`, so that the
   * others need not wait for it.
   */
  readonly run: (items: readonly In[]) => Promise<readonly (Out | typeof later)[]>;
  readonly maxItems?: number;
  /** About how large an item is when it is written, in bytes: a batch ends with the item that takes it over `batchBytes`. */
  readonly bytesOf?: (item: In) => number;
  /** How many may wait; over it callers are refused at once with `platform.overloaded`. */
  readonly maxWaiting?: number;
  /** How many statements may run at once. One makes the largest batches. */
  readonly concurrency?: number;
  /** How long the first of a batch may wait for company, where nobody minds; otherwise an idle batcher begins at once. */
  readonly lingerMs?: number;
  /** Whose it is: batches are filled from everyone in turn, and a full queue refuses those who filled it. */
  readonly fairnessKey?: (item: In) => string;
  /**
   * Nobody waits for a batch that has nothing of theirs: so many more may begin beside one, with what waits under other keys than those
   * in the batches that run. `groupOf` makes one of the keys that belong together, as those of a team. Who is alone is written in one batch at a time.
   */
  readonly beside?: { readonly groupOf: (fairnessKey: string) => string; readonly atMost: number };
  /** A batch that one group fills (without `beside` all are one) gains nothing by waiting: so many of those may begin beside whatever runs. */
  readonly fullBeside?: number;
  /** Writing twice what may have been committed already does no harm and gives the same answer: then a lost connection is no error. A function says so of a batch. */
  readonly repeatable?: boolean | ((items: readonly In[]) => boolean);
}

interface Waiting<In, Out> {
  readonly item: In;
  /** Whose turn it takes, and whom that belongs to. */
  readonly key: string;
  readonly group: string;
  /** Since when it meets a row that is locked, and how long it waits before it tries again. */
  locked?: { readonly since: number; readonly pauseMs: number };
  readonly since: number;
  readonly resolve: (answer: Out) => void;
  readonly reject: (error: unknown) => void;
}

/** What one statement carries, and this process and PostgreSQL hold several times over while it runs. */
const batchBytes = 16 * 1024 * 1024;
const attempts = 4;
const none: ReadonlySet<string> = new Set();
/** PostgreSQL rolled the statement back and asks for it again: serialization failure, deadlock. */
const rolledBack = new Set(['40001', '40P01']);
/** It never arrived: no connection, none free, starting up. */
const neverBegun = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', '53300', '57P03']);
/** What no row is to blame for: connection, resources, an operator, the system. */
const nobodysFault = /^(08|53|57|58)/;

/**
 * Group commit: while one statement commits, everything that arrives waits and goes into the next one, and each caller is
 * answered after its commit. Nothing is delayed to make batches larger, unless it was said to linger: an idle batcher begins at once.
 */
export class Batcher<In, Out> {
  readonly #queue = new FairQueue<Waiting<In, Out>>();
  readonly #maxItems: number;
  readonly #maxWaiting: number;
  readonly #concurrency: number;
  #running = 0;
  /** Beside these, those that began because they were full. */
  #full = 0;
  /** How many wait, by group. */
  readonly #waiting = new Map<string, number>();
  /** Those of whom as many wait as a batch holds; whose turn it is comes first. */
  readonly #filled = new Set<string>();
  /** Groups that have something in batches that run, and in how many. */
  readonly #busy = new Map<string, number>();
  #starting = false;
  #measured: { readonly size: Histogram; readonly wait: Histogram; readonly duration: Histogram } | null = null;

  constructor(private readonly options: BatcherOptions<In, Out>) {
    this.#maxItems = options.maxItems ?? 500;
    this.#maxWaiting = options.maxWaiting ?? 20_000;
    this.#concurrency = (options.concurrency ?? 1) + (options.beside?.atMost ?? 0);
  }

  /** Answered when it is committed. */
  add(item: In): Promise<Out> {
    const key = this.options.fairnessKey?.(item) ?? '';
    // Who waits for less than an equal share did not fill the queue.
    if (this.#queue.size >= this.#maxWaiting && this.#queue.sizeOf(key) * this.#queue.keys >= this.#maxWaiting)
      return Promise.reject(new Overloaded(this.options.name, this.#queue.size));
    return new Promise((resolve, reject) => {
      const group = this.options.beside?.groupOf(key) ?? '';
      this.#push({ item, key, group, since: performance.now(), resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#starting || this.#queue.size === 0) return;
    if (this.#running >= this.#concurrency && this.#filling() === undefined) return;
    this.#starting = true;
    const begin = (): void => {
      this.#starting = false;
      this.#begin();
    };
    // Everything that arrives in this turn of the event loop goes along.
    if (this.options.lingerMs === undefined) setImmediate(begin);
    else setTimeout(begin, this.options.lingerMs);
  }

  #begin(): void {
    while (this.#queue.size > 0) {
      let batch = this.#running < this.#concurrency ? this.#take((group) => !this.#busy.has(group)) : [];
      const filling = batch.length === 0 ? this.#filling() : undefined;
      if (filling !== undefined) {
        // Behind the others, should it fill another one.
        this.#filled.delete(filling);
        this.#filled.add(filling);
        batch = this.#take((group) => group === filling);
      }
      if (batch.length === 0) return;
      const groups = this.#groupsOf(batch);
      for (const group of groups) count(this.#busy, group, 1);
      if (filling === undefined) this.#running += 1;
      else this.#full += 1;
      // The batch is nobody's request, so it is in nobody's trace.
      void context
        .with(ROOT_CONTEXT, () => this.#write(batch))
        .then((answer) => {
          if (filling === undefined) this.#running -= 1;
          else this.#full -= 1;
          for (const group of groups) count(this.#busy, group, -1);
          // PostgreSQL is at work on the next batch while this process answers the callers of this one.
          if (this.options.lingerMs === undefined) this.#begin();
          else this.#schedule();
          answer();
        });
    }
  }

  /** Who fills a batch alone, where one more of those may begin. Others do not go along: they would wait for it. */
  #filling(): string | undefined {
    if (this.#full >= (this.options.fullBeside ?? 0)) return undefined;
    return this.#filled.values().next().value;
  }

  #push(waiting: Waiting<In, Out>): void {
    const { key, group } = waiting;
    this.#queue.push(key, waiting);
    if (count(this.#waiting, group, 1) >= this.#maxItems) this.#filled.add(group);
  }

  #take(mayGo: (group: string) => boolean): Waiting<In, Out>[] {
    const { bytesOf, beside } = this.options;
    let bytes = 0;
    const taken = this.#queue.take(
      this.#maxItems,
      bytesOf && (({ item }) => (bytes += bytesOf(item)) > batchBytes),
      beside && ((key) => mayGo(beside.groupOf(key))),
    );
    for (const { group } of taken) if (count(this.#waiting, group, -1) < this.#maxItems) this.#filled.delete(group);
    return taken;
  }

  #groupsOf(batch: readonly Waiting<In, Out>[]): ReadonlySet<string> {
    return this.options.beside === undefined ? none : new Set(batch.map(({ group }) => group));
  }

  /** Never rejects. What is returned tells each of the batch. */
  async #write(batch: readonly Waiting<In, Out>[]): Promise<() => void> {
    const began = performance.now();
    let answer: () => void;
    try {
      const answers = await this.#tried(batch.map(({ item }) => item));
      if (answers.length !== batch.length)
        throw new Error(`${this.options.name}: ${batch.length} were written and ${answers.length} answered.`);
      answer = () => batch.forEach((one, place) => this.#answer(one, answers[place] as Out | typeof later));
    } catch (error) {
      if (batch.length > 1 && isSomeRowsFault(error)) {
        const half = batch.length >> 1;
        const first = await this.#write(batch.slice(0, half));
        first();
        return this.#write(batch.slice(half));
      }
      answer = () => {
        for (const { reject } of batch) reject(error);
      };
    }
    this.#measure(batch, began);
    return answer;
  }

  #answer(one: Waiting<In, Out>, answer: Out | typeof later): void {
    if (answer !== later) return one.resolve(answer);
    const { since, pauseMs } = one.locked ?? { since: performance.now(), pauseMs: laterMs };
    if (performance.now() - since > longestMs) return one.reject(new Overloaded(this.options.name, this.#queue.size));
    one.locked = { since, pauseMs: Math.min(2 * pauseMs, mostLaterMs) };
    setTimeout(() => {
      this.#push(one);
      this.#schedule();
    }, pauseMs);
  } // prettier-ignore

  async #tried(items: readonly In[]): Promise<readonly (Out | typeof later)[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.options.run(items);
      } catch (error) {
        if (attempt >= attempts || !this.#mayRepeat(error, items)) throw error;
        await new Promise((wake) => setTimeout(wake, 5 * 4 ** (attempt - 1) * (0.5 + Math.random())));
      }
    }
  }

  #mayRepeat(error: unknown, items: readonly In[]): boolean {
    const state = sqlState(error);
    if (state !== null && rolledBack.has(state)) return true;
    const code = state ?? systemCode(error);
    if (code !== null && neverBegun.has(code)) return true;
    if (!isConnectionBroken(error)) return false;
    const { repeatable } = this.options;
    return typeof repeatable === 'function' ? repeatable(items) : repeatable === true;
  }

  #measure(batch: readonly Waiting<In, Out>[], began: number): void {
    // Asked for late: the provider comes with the server, this class may be older than it.
    this.#measured ??= measures();
    const attributes = { batch: this.options.name };
    this.#measured.size.record(batch.length, attributes);
    const since = batch.reduce((oldest, one) => Math.min(oldest, one.since), began);
    this.#measured.wait.record((began - since) / 1000, attributes);
    this.#measured.duration.record((performance.now() - began) / 1000, attributes);
  }
}

function count(of: Map<string, number>, group: string, more: 1 | -1): number {
  const now = (of.get(group) ?? 0) + more;
  if (now > 0) of.set(group, now);
  else of.delete(group);
  return now;
}

/** PostgreSQL refused the statement, so nothing of it is there, and a part of it may go in without the row that is to blame. */
function isSomeRowsFault(error: unknown): boolean {
  const state = sqlState(error);
  return state !== null && !nobodysFault.test(state);
}

function systemCode(error: unknown): string | null {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : null;
  return typeof code === 'string' ? code : null;
}

function measures() {
  const meter = metrics.getMeter('muster');
  const seconds = { advice: { explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5] } };
  return {
    size: meter.createHistogram('muster.batch.size', {
      description: 'How many shared a statement and its commit.',
      advice: { explicitBucketBoundaries: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000] },
    }),
    wait: meter.createHistogram('muster.batch.wait.seconds', {
      description: 'How long the oldest of a batch waited for the one before.',
      ...seconds,
    }),
    duration: meter.createHistogram('muster.batch.duration.seconds', {
      description: 'How long a batch took to be committed.',
      ...seconds,
    }),
  };
}
