import { Injectable } from '@nestjs/common';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { KeptAnswers } from './kept-answers.ts';

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

/** What `KeptAnswers` keeps, by one way to read it. */
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
    const { forgetOn, read, keep, keptMs = ordinarilyKeptMs, atMost = 10_000 } = options;
    const kept = new KeptAnswers<V>({ keptMs, atMost, keep });
    this.#caches.push({ forgetOn, clear: () => kept.clear() });
    return { get: (key) => kept.get(key, () => read(key)) };
  }

  /** @param type null: some change may have been missed */
  #forget(type: string | null): boolean {
    const concerned = this.#caches.filter(({ forgetOn }) => type === null || forgetOn.includes(type));
    for (const cache of concerned) cache.clear();
    return concerned.length > 0;
  }
}
