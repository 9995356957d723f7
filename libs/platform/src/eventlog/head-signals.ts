import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Signals } from '#platform/redis';
import { EventLog } from './event-log.ts';
import { Sequencer } from './sequencer.ts';

const topic = 'events.head';

/**
 * Where there is a Redis, the elected process tells the others over it that there are new events. They read the position
 * themselves: a signal is not believed.
 */
@Injectable()
export class HeadSignals implements OnApplicationBootstrap {
  readonly #log = new Logger('event-log');
  #reading = false;
  #again = false;

  constructor(
    private readonly events: EventLog,
    private readonly sequencer: Sequencer,
    private readonly signals: Signals,
  ) {}

  onApplicationBootstrap(): void {
    if (this.signals.kind !== 'redis') return;
    this.events.onAdvance(() => {
      if (this.sequencer.elected) this.signals.publishElsewhere(topic);
    });
    this.signals.subscribe(topic, () => this.#look());
  }

  #look(): void {
    this.#again = true;
    if (this.#reading || this.sequencer.elected) return;
    this.#reading = true;
    void this.#read().finally(() => (this.#reading = false));
  }

  async #read(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false;
        this.events.announce(await this.events.head());
      }
    } catch (error) {
      this.#log.debug(`The position could not be read, and is looked for again by itself: ${String(error)}`);
    }
  }
}
