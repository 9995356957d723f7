import { Injectable } from '@nestjs/common';

/** The server is stopping: readiness says so, long polls end, nobody takes new work. */
@Injectable()
export class Drain {
  readonly #controller = new AbortController();

  /** Aborts when the drain begins. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get draining(): boolean {
    return this.#controller.signal.aborted;
  }

  begin(): void {
    this.#controller.abort();
  }
}
