import type { CloudEvent } from '@muster/contracts';
import type { MusterClient } from '@muster/sdk';

export class StillWaiting extends Error {
  constructor(what: string, seconds: number) {
    super(`${what} did not happen within ${seconds} seconds`);
    this.name = 'StillWaiting';
  }
}

/** Everything that happened in the project so far, from the event stream; across restarts of the server nothing is missed. */
export class Journal {
  readonly #events: CloudEvent[] = [];
  readonly #listeners = new Set<(event: CloudEvent) => void>();
  readonly #closed = new AbortController();

  constructor(
    private readonly client: MusterClient,
    private readonly projectId: string,
    private readonly patienceSeconds: number,
    private readonly onEvent: (event: CloudEvent) => void,
  ) {}

  start(): void {
    void this.#follow();
  }

  close(): void {
    this.#closed.abort();
  }

  /** The first event, past or to come, of this type that fits. */
  first(
    type: string,
    fits: (data: Record<string, unknown>) => boolean,
    what: string,
    seconds = this.patienceSeconds,
  ): Promise<CloudEvent> {
    const wanted = (event: CloudEvent): boolean => event.type === type && fits(event.data);
    return this.#await(wanted, what, seconds);
  }

  /** Whichever of these types comes first for the task. */
  firstOf(
    types: readonly string[],
    fits: (data: Record<string, unknown>) => boolean,
    what: string,
    seconds = this.patienceSeconds,
  ): Promise<CloudEvent> {
    return this.#await((event) => types.includes(event.type) && fits(event.data), what, seconds);
  }

  /** The first event, past or to come, that fits. */
  firstWhere(wanted: (event: CloudEvent) => boolean, what: string): Promise<CloudEvent> {
    return this.#await(wanted, what, this.patienceSeconds);
  }

  count(type: string, fits: (data: Record<string, unknown>) => boolean): number {
    return this.#events.filter((event) => event.type === type && fits(event.data)).length;
  }

  #await(wanted: (event: CloudEvent) => boolean, what: string, seconds: number): Promise<CloudEvent> {
    const past = this.#events.find(wanted);
    if (past) return Promise.resolve(past);
    return new Promise((resolve, reject) => {
      const listener = (event: CloudEvent): void => {
        if (wanted(event)) finish(() => resolve(event));
      };
      const onClosed = (): void => finish(() => reject(new Error('The demo was stopped.')));
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        this.#closed.signal.removeEventListener('abort', onClosed);
        settle();
      };
      const timer = setTimeout(() => finish(() => reject(new StillWaiting(what, seconds))), seconds * 1_000);
      this.#listeners.add(listener);
      this.#closed.signal.addEventListener('abort', onClosed, { once: true });
    });
  }

  async #follow(): Promise<void> {
    let after = 0;
    while (!this.#closed.signal.aborted) {
      try {
        const stream = this.client.events.subscribe({ projectId: this.projectId, after, signal: this.#closed.signal });
        for await (const event of stream) {
          after = event.position;
          this.#events.push(event);
          this.onEvent(event);
          for (const listener of [...this.#listeners]) listener(event);
        }
      } catch {
        // Refused while the server was coming up: taken up again behind the last event.
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }
}
