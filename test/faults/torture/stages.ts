/** What was waited for did not come; a run that ends by this is not ok. */
export class GaveUp extends Error {
  override readonly name = 'GaveUp';
}

/** The parts of a run, one after another: each has a name and an end, however it goes. */
export class Stages {
  readonly tookMs: Record<string, number> = {};
  #now = 'beginning';

  /** The one that is under way, or that was the last. */
  get now(): string {
    return this.#now;
  }

  /** @throws {GaveUp} when it is not over in time; what it waited for goes on and is ended with the processes */
  async run<T>(name: string, limitMs: number, work: () => Promise<T>): Promise<T> {
    this.#now = name;
    const began = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, refuse) => {
      timer = setTimeout(() => refuse(new GaveUp(`${name}: not over after ${limitMs} ms`)), limitMs);
    });
    const working = work();
    // It may fail when everything is ended after all.
    working.catch(() => undefined);
    try {
      return await Promise.race([working, late]);
    } finally {
      clearTimeout(timer);
      this.tookMs[name] = Math.round(performance.now() - began);
    }
  }
}
