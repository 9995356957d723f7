import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Carrier } from './carrier.ts';

/** Words of one kind that may wait to be sent. More are not worth naming: the others are told to look for themselves. */
const maxWaiting = 500;
/** The first signal goes at once; what follows within this time shares a message. A hint that comes later than this is no help. */
const gapMs = 10;

export interface SignalCounts {
  /** Messages to and from other replicas, and those that could not be sent. */
  sent: number;
  received: number;
  dropped: number;
}

/**
 * Hints between the replicas of one installation: "something is new, look". They save time and are never the only way to
 * find out: whoever listens also looks by itself, so a lost, late, doubled or foreign signal changes no result. Nothing is
 * told in a signal that a listener would believe without reading the database.
 */
@Injectable()
export class Signals implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly counts: SignalCounts = { sent: 0, received: 0, dropped: 0 };
  readonly #self = randomUUID().slice(0, 8);
  readonly #listeners = new Map<string, Set<(word: string | null) => void>>();
  /** By topic; null means that there were too many words to name. */
  readonly #waiting = new Map<string, Set<string> | null>();
  #timer: NodeJS.Timeout | null = null;
  #sending: Promise<void> | null = null;
  #lastSentAt = -Infinity;
  #stopped = true;

  constructor(private readonly carrier: Carrier) {}

  get connected(): boolean {
    return this.carrier.connected;
  }
  get kind(): Carrier['kind'] {
    return this.carrier.kind;
  }

  onApplicationBootstrap(): void {
    this.#stopped = false;
    this.carrier.start({
      received: (text) => this.#receive(text),
      opened: () => {
        for (const topic of this.#listeners.keys()) this.#tell(topic, null);
      },
    });
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#sending;
    await this.carrier.stop();
  }

  /** @param listener null instead of a word means: something may have been missed, look at everything of this topic */
  subscribe(topic: string, listener: (word: string | null) => void): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Tells listeners of this process at once and those of other replicas soon. Never throws, never waits. Not inside a transaction. */
  publish(topic: string, word = ''): void {
    this.#tell(topic, word);
    this.publishElsewhere(topic, word);
  }

  /** For what this process has already told itself. */
  publishElsewhere(topic: string, word = ''): void {
    if (this.#stopped) return;
    const words = this.#waiting.get(topic);
    if (words === undefined) this.#waiting.set(topic, new Set([word]));
    else if (words !== null && words.add(word).size > maxWaiting) this.#waiting.set(topic, null);
    this.#sendSoon();
  }

  #sendSoon(): void {
    if (this.#timer !== null || this.#sending !== null || this.#stopped) return;
    const wait = Math.max(0, this.#lastSentAt + gapMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#sending = this.#send().finally(() => {
        this.#sending = null;
        if (this.#waiting.size > 0) this.#sendSoon();
      });
    }, wait);
    this.#timer.unref();
  }

  async #send(): Promise<void> {
    this.#lastSentAt = performance.now();
    const texts = messagesOf(this.#self, this.#waiting, this.carrier.maxBytes);
    this.#waiting.clear();
    if (!this.carrier.connected) {
      this.counts.dropped += texts.length;
      return;
    }
    try {
      await this.carrier.send(texts);
      this.counts.sent += texts.length;
    } catch {
      // The carrier reports its own outages; a lost hint is made up for by whoever looks by itself.
      this.counts.dropped += texts.length;
    }
  }

  #receive(text: string): void {
    const message = parse(text);
    if (message === null || message.from === this.#self) return;
    this.counts.received += 1;
    for (const [topic, words] of message.topics) {
      if (words === null) this.#tell(topic, null);
      else for (const word of words) this.#tell(topic, word);
    }
  }

  #tell(topic: string, word: string | null): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener(word);
  }
}

interface Message {
  readonly from: string;
  readonly topics: ReadonlyArray<readonly [topic: string, words: readonly string[] | null]>;
}

/** As few messages as fit; a topic whose words do not fit into one is told without them. */
function messagesOf(
  from: string,
  waiting: ReadonlyMap<string, ReadonlySet<string> | null>,
  maxBytes: number,
): string[] {
  const texts: string[] = [];
  let topics: [string, string[] | null][] = [];
  const text = (): string => JSON.stringify([from, topics]);
  for (const [topic, words] of waiting) {
    const entry: [string, string[] | null] = [topic, words === null ? null : [...words]];
    topics.push(entry);
    if (Buffer.byteLength(text()) <= maxBytes) continue;
    topics.pop();
    if (topics.length > 0) texts.push(text());
    topics = [entry];
    if (Buffer.byteLength(text()) > maxBytes) topics = [[topic, null]];
  }
  if (topics.length > 0) texts.push(text());
  return texts;
}

/** Null for what is not ours: anybody may write to a channel. */
function parse(text: string): Message | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value) || typeof value[0] !== 'string' || !Array.isArray(value[1])) return null;
    const topics: [string, string[] | null][] = [];
    for (const entry of value[1] as unknown[]) {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string') return null;
      const words: unknown = entry[1];
      if (words !== null && !(Array.isArray(words) && words.every((word) => typeof word === 'string'))) return null;
      topics.push([entry[0], words]);
    }
    return { from: value[0], topics };
  } catch {
    return null;
  }
}
