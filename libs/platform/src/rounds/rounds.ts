import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import { Config } from '#platform/config';

/** @param signal aborts when the server stops: end after the row at hand */
export type Round = (signal: AbortSignal) => Promise<unknown>;

/** After a round that failed: the database may have been away for a moment. It doubles while rounds fail, up to the usual pause. */
const afterFailureMs = 50;

/**
 * Work that comes round again: the looks that keep the promise that nothing is stuck. A round never overlaps itself: the pause
 * begins when it has ended, and is short after one that failed. Only servers that do background work (roles all and worker) go on
 * rounds, but for those that are begun everywhere.
 */
@Injectable()
export class Rounds implements BeforeApplicationShutdown {
  readonly #log = new Logger('rounds');
  readonly #stopping = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  readonly #begun = new Map<string, () => void>();
  readonly #hurried = new Set<string>();
  /** Rounds of this name that failed in a row. */
  readonly #failed = new Map<string, number>();

  constructor(
    private readonly config: Config,
    private readonly registry: SchedulerRegistry,
  ) {}

  /** The same on every server, for what each must see to for its own callers. */
  beginEverywhere(name: string, everyMs: number, round: Round): void {
    this.#wait(name, everyMs, round, everyMs);
  }

  /** Begins; `firstMs` is the pause before the first round. */
  begin(name: string, everyMs: number, round: Round, firstMs = everyMs): void {
    if (this.config.role === 'all' || this.config.role === 'worker') this.#wait(name, everyMs, round, firstMs);
  }

  /** The next round of this name without its pause; while one is under way, another right behind it. Nothing where it is not gone on. */
  soon(name: string): void {
    if (this.#stopping.signal.aborted) return;
    if (this.registry.doesExist('timeout', name)) {
      this.registry.deleteTimeout(name);
      this.#begun.get(name)?.();
    } else if (this.#begun.has(name)) this.#hurried.add(name);
  }

  /** No further rounds; those under way are waited for. Safe to call before the hook does. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    for (const name of this.registry.getTimeouts()) {
      if (this.#running.has(name)) this.registry.deleteTimeout(name);
    }
    await Promise.all(this.#running.values());
  }

  #wait(name: string, everyMs: number, round: Round, pauseMs: number): void {
    if (!this.#running.has(name)) this.#running.set(name, Promise.resolve());
    this.#begun.set(name, () => this.#running.set(name, this.#once(name, everyMs, round)));
    const timeout = setTimeout(() => {
      this.registry.deleteTimeout(name);
      this.#begun.get(name)?.();
    }, pauseMs);
    timeout.unref();
    this.registry.addTimeout(name, timeout);
  }

  async #once(name: string, everyMs: number, round: Round): Promise<void> {
    let pauseMs = everyMs;
    try {
      await round(this.#stopping.signal);
      this.#failed.delete(name);
    } catch (error) {
      const failed = this.#failed.get(name) ?? 0;
      this.#failed.set(name, failed + 1);
      pauseMs = Math.min(everyMs, afterFailureMs * 2 ** Math.min(failed, 30));
      if (!this.#stopping.signal.aborted)
        this.#log.error({ err: error, round: name, msg: 'A round failed and comes again' });
    }
    if (!this.#stopping.signal.aborted) this.#wait(name, everyMs, round, this.#hurried.delete(name) ? 0 : pauseMs);
  }
}
