/** A stored limit; what is null counts any. */
export interface Limit {
  readonly id: string;
  readonly teamId: string;
  readonly projectId: string | null;
  readonly capability: string | null;
  readonly agent: string | null;
  readonly maxRunning: number | null;
  readonly maxStarts: number | null;
  readonly perSeconds: number | null;
}

/** How much of a limit is used now. */
export interface LimitUse {
  readonly id: string;
  readonly running: number;
  readonly started: number;
  /** Until one more may start; null: one may now. */
  readonly nextStartInMs: number | null;
}

interface Left {
  running: number;
  starts: number;
}

/** What may still begin under some limits; a claim takes from it before it takes a task. */
export class LimitBudget {
  private readonly left = new Map<string, Left>();

  constructor(limits: readonly Limit[], uses: readonly LimitUse[]) {
    const used = new Map(uses.map((use) => [use.id, use]));
    for (const { id, maxRunning, maxStarts } of limits) {
      const use = used.get(id);
      this.left.set(id, {
        // Removed meanwhile: whoever claims is told that it knows an old version.
        running: (maxRunning ?? Infinity) - (use?.running ?? 0),
        starts: (maxStarts ?? Infinity) - (use?.started ?? 0),
      });
    }
  }

  /**
   * Takes one start from each of them, if each has one.
   * @param replaces the agent whose expired attempt of the same task ends with this start: the number of those that run stays the
   * same, so that a task never waits for the place that it holds itself
   */
  take(limits: readonly Limit[], replaces: string | null = null): boolean {
    const wanted = limits.map((limit) => ({
      left: this.left.get(limit.id) ?? { running: 0, starts: 0 },
      swap: replaces !== null && (limit.agent === null || limit.agent === replaces),
    }));
    if (!wanted.every(({ left, swap }) => left.starts >= 1 && (swap || left.running >= 1))) return false;
    for (const { left, swap } of wanted) {
      left.starts -= 1;
      if (!swap) left.running -= 1;
    }
    return true;
  }
}
