import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { EventLog } from './event-log.ts';

const topic = 'events.head';
/** The word for new events of which some reaction is owed one; others need no look at what is owed. */
const owedWord = 'owed';
/** What was lost on the way waits for it: a signal, or the word of whoever appended past this program. */
const lookEveryMs = 1000;

/** Many replicas signal at once: what comes within this time wakes readers once more. */
const gapMs = 10;

/**
 * Carries "there is more to read" to every reader: to those of this process with each commit, to those of others by a signal,
 * many commits in one. A signal says no more than that, and nobody asks how far the log goes before those who read it do.
 */
@Injectable()
export class EventRelay implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #log = new Logger('event-log');
  #reading: Promise<void> | null = null;
  /** After a word from elsewhere; what comes meanwhile is told of at its end. */
  #gap: NodeJS.Timeout | undefined;
  #waiting: { owed: boolean } | null = null;
  #stop: () => void = () => {};

  constructor(
    private readonly database: Database,
    private readonly events: EventLog,
    private readonly signals: Signals,
  ) {}

  onApplicationBootstrap(): void {
    const offs = [
      this.database.onAppended((head, _events, owed) => {
        this.events.announce(head, owed, true);
        this.signals.publishElsewhere(topic, owed ? owedWord : '');
      }),
      this.signals.subscribe(topic, (word) => this.#hear(word === null || word === owedWord)),
    ];
    const timer = setInterval(() => this.#look(), lookEveryMs).unref();
    this.#stop = () => {
      clearInterval(timer);
      clearTimeout(this.#gap);
      for (const off of offs) off();
    };
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stop();
    await this.#reading;
  }

  #hear(owed: boolean): void {
    if (this.#gap !== undefined) {
      this.#waiting = { owed: owed || this.#waiting?.owed === true };
      return;
    }
    this.#gap = setTimeout(() => {
      this.#gap = undefined;
      const waiting = this.#waiting;
      this.#waiting = null;
      if (waiting !== null) this.#hear(waiting.owed);
    }, gapMs).unref();
    this.events.announceElsewhere(owed);
  }

  #look(): void {
    this.#reading ??= this.events
      .head()
      .then((head) => this.events.announce(head, true, false))
      .catch((error: unknown) =>
        this.#log.debug(`The position could not be read, and is looked for again by itself: ${String(error)}`),
      )
      .finally(() => (this.#reading = null));
  }
}
