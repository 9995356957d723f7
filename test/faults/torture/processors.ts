import { familySeconds, processSeconds } from '../../../bench/machinery/processor-time.ts';

/** Who is watched, by what it is: process ids now, and whether what they have started counts as well. */
export interface Watched {
  readonly kind: string;
  readonly pids: () => readonly number[];
  readonly withChildren?: boolean;
}

/** Who spends the processors in which part of the run. A process that ends between two looks has spent a little more than is counted. */
export class Processors {
  /** Seconds, by part of the run and by kind. */
  readonly spent: Record<string, Record<string, number>> = {};
  readonly #seen = new Map<number, number>();
  #part: string | null = null;

  readonly #watched: readonly Watched[];

  constructor(watched: readonly Watched[]) {
    this.#watched = watched;
  }

  enter(part: string): void {
    this.look(true);
    this.#part = part;
  }

  /** @param families a look at those as well that are counted with what they have started, which reads about every process there is */
  look(families = false): void {
    const part = this.#part === null ? null : (this.spent[this.#part] ??= {});
    for (const { kind, pids, withChildren } of this.#watched) {
      if (withChildren === true && !families) continue;
      for (const pid of pids()) {
        const now = withChildren === true ? familySeconds(pid) : processSeconds(pid);
        const since = now - (this.#seen.get(pid) ?? 0);
        if (now === 0 || since <= 0) continue;
        this.#seen.set(pid, now);
        if (part !== null) part[kind] = Math.round(((part[kind] ?? 0) + since) * 100) / 100;
      }
    }
  }
}
