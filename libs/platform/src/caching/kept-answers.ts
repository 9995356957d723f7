export interface KeptAnswersOptions<V> {
  /** How old an answer may be, in milliseconds since it began to be read. */
  readonly keptMs: number;
  readonly atMost: number;
  /** What is not worth keeping. */
  readonly keep?: (value: V) => boolean;
  /** Milliseconds of a clock; a test may own it. */
  readonly now?: () => number;
}

interface Kept<V> {
  readonly value: Promise<V>;
  readonly until: number;
  /** It is there, and may be read anew: only once, where that fails. */
  mayRenew: boolean;
  /** What will take its place, while that is being read. */
  next?: Kept<V> | undefined;
}

/** In this last share of an answer's time who asks for it has it read anew, and does not wait for that. */
const renewedInLast = 0.25;

/**
 * Reads once what many ask for; those who ask while it is being read wait for the same answer. What is asked for all the time is read
 * anew before it is too old: nobody waits for it then but who came first.
 */
export class KeptAnswers<V> {
  readonly #kept = new Map<string, Kept<V>>();
  readonly #now: () => number;

  constructor(private readonly options: KeptAnswersOptions<V>) {
    this.#now = options.now ?? (() => performance.now());
  }

  get(key: string, read: () => Promise<V>): Promise<V> {
    const now = this.#now();
    const known = this.#kept.get(key);
    if (known !== undefined && known.until > now) {
      if (known.mayRenew && known.until - now < this.options.keptMs * renewedInLast) {
        known.mayRenew = false;
        known.next = this.#begin(key, read, now, known);
      }
      return known.value;
    }
    const coming = known?.next;
    const kept = coming !== undefined && coming.until > now ? coming : this.#begin(key, read, now);
    this.#put(key, kept);
    return kept.value;
  }

  clear(): void {
    this.#kept.clear();
  }

  /** Kept while it is being read, too: a change meanwhile takes it out, and the next one who asks reads again. @param before what it is to take the place of */
  #begin(key: string, read: () => Promise<V>, now: number, before?: Kept<V>): Kept<V> {
    const kept: Kept<V> = { value: Promise.resolve().then(read), until: now + this.options.keptMs, mayRenew: false };
    const isStill = (): boolean => {
      const there = this.#kept.get(key);
      return there !== undefined && (there === kept || there === before);
    };
    kept.value.then(
      (value) => {
        if (!isStill()) return;
        kept.mayRenew = true;
        if (this.options.keep?.(value) === false) this.#kept.delete(key);
        else this.#put(key, kept);
      },
      () => {
        if (before !== undefined) before.next = undefined;
        if (this.#kept.get(key) === kept) this.#kept.delete(key);
      },
    );
    return kept;
  }

  #put(key: string, kept: Kept<V>): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    const oldest = this.#kept.size > this.options.atMost ? this.#kept.keys().next().value : undefined;
    if (oldest !== undefined) this.#kept.delete(oldest);
  }
}
