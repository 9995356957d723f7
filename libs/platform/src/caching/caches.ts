import { Injectable } from '@nestjs/common';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';

const topic = 'caches.forget';
/** How long another replica may go on with what it knew when the hint was lost, and everyone with what was changed past us. */
const ordinarilyKeptMs = 2_000;

export interface CacheOptions<V> {
  /** Types of the events that tell that what is kept may be wrong now. */
  readonly forgetOn: readonly string[];
  readonly read: (key: string) => Promise<V>;
  /** What is not worth keeping, above all "there is none": what was just made is then found at every replica. */
  readonly keep: (value: V) => boolean;
  /** Less than two seconds for what is made of answers that are kept themselves. */
  readonly keptMs?: number;
  readonly atMost?: number;
}

/** Reads once what many ask for; those who ask while it is being read wait for the same answer. */
export interface Cache<V> {
  get(key: string): Promise<V>;
}

/**
 * Keeps what hot requests ask for and what hardly ever changes. A commit of this process that tells a change empties the caches
 * concerned before its caller is answered; other replicas hear of it by a signal, within milliseconds; and nothing is kept for
 * more than two seconds, however it changed, or for its own `keptMs` more where it is made of what is kept.
 */
@Injectable()
export class Caches {
  readonly #caches: { readonly forgetOn: readonly string[]; clear(): void }[] = [];

  constructor(
    database: Database,
    private readonly signals: Signals,
  ) {
    database.onAppended((_head, events) => {
      for (const type of new Set(events.map((event) => event.type))) {
        if (this.#forget(type)) signals.publishElsewhere(topic, type);
      }
    });
    signals.subscribe(topic, (type) => void this.#forget(type));
  }

  make<V>(options: CacheOptions<V>): Cache<V> {
    const cache = new KeptAnswers(options);
    this.#caches.push(cache);
    return cache;
  }

  /** @param type null: some change may have been missed */
  #forget(type: string | null): boolean {
    const concerned = this.#caches.filter(({ forgetOn }) => type === null || forgetOn.includes(type));
    for (const cache of concerned) cache.clear();
    return concerned.length > 0;
  }
}

interface Kept<V> {
  readonly value: Promise<V>;
  readonly until: number;
}

class KeptAnswers<V> implements Cache<V> {
  readonly forgetOn: readonly string[];
  readonly #kept = new Map<string, Kept<V>>();
  readonly #atMost: number;
  readonly #keptMs: number;

  constructor(private readonly options: CacheOptions<V>) {
    this.forgetOn = options.forgetOn;
    this.#keptMs = options.keptMs ?? ordinarilyKeptMs;
    this.#atMost = options.atMost ?? 10_000;
  }

  get(key: string): Promise<V> {
    const known = this.#kept.get(key);
    if (known !== undefined && known.until > performance.now()) return known.value;
    // Kept while it is being read, too: a change meanwhile takes it out, and the next one who asks reads again.
    const kept = { value: this.options.read(key), until: performance.now() + this.#keptMs };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    const drop = (): void => {
      if (this.#kept.get(key) === kept) this.#kept.delete(key);
    };
    kept.value.then((value) => {
      if (!this.options.keep(value)) drop();
    }, drop);
    if (this.#kept.size > this.#atMost) {
      const oldest = this.#kept.keys().next().value;
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    return kept.value;
  }

  clear(): void {
    this.#kept.clear();
  }
}
