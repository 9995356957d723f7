import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { EventLog } from './event-log.ts';

const topic = 'events.head';
/** The word for new events of which some reaction is owed one; others need no look at what is owed. */
const owedWord = 'owed';
/** What was lost on the way waits for it: a signal, or the word of whoever appended past this program. */
const lookEveryMs = 1000;

/**
 * Carries "there is more to read" to every reader: to those of this process with each commit, to those of others by a signal,
 * many commits in one. They read the position themselves: a signal is not believed.
 */
@Injectable()
export class EventRelay implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #log = new Logger('event-log');
  #reading: Promise<void> | null = null;
  /** What the next look is for; null: there is none to come. */
  #next: { owed: boolean } | null = null;
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
      this.signals.subscribe(topic, (word) => this.#look(word === null || word === owedWord)),
    ];
    const timer = setInterval(() => this.#look(true), lookEveryMs).unref();
    this.#stop = () => {
      clearInterval(timer);
      for (const off of offs) off();
    };
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stop();
    await this.#reading;
  }

  #look(owed: boolean): void {
    this.#next = { owed: owed || this.#next?.owed === true };
    this.#reading ??= this.#read().finally(() => (this.#reading = null));
  }

  async #read(): Promise<void> {
    try {
      while (this.#next !== null) {
        const { owed } = this.#next;
        this.#next = null;
        this.events.announce(await this.events.head(), owed, false);
      }
    } catch (error) {
      this.#log.debug(`The position could not be read, and is looked for again by itself: ${String(error)}`);
    }
  }
}
