interface Lane<T> {
  readonly key: string;
  readonly items: T[];
  /** Index of the next one; what is before it was taken. */
  next: number;
}

/** Waits in a lane for each key; lanes are emptied in turn, one at a time, each in its own order. */
export class FairQueue<T> {
  readonly #lanes = new Map<string, Lane<T>>();
  /** Those with something in them; the first one's turn is next. */
  #ring: Lane<T>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How many wait under this key. */
  sizeOf(key: string): number {
    const lane = this.#lanes.get(key);
    return lane === undefined ? 0 : lane.items.length - lane.next;
  }

  /** How many keys have something that waits. */
  get keys(): number {
    return this.#ring.length;
  }

  push(key: string, item: T): void {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { key, items: [], next: 0 };
      this.#lanes.set(key, lane);
      this.#ring.push(lane);
    }
    lane.items.push(item);
    this.#size += 1;
  }

  /**
   * Up to so many, whose turn it is, until one of them makes it enough.
   * @param mayGo by its key, whose turn is passed over when it is false, and comes first the next time
   */
  take(
    atMost: number,
    isEnough: (last: T) => boolean = () => false,
    mayGo: (key: string) => boolean = () => true,
  ): T[] {
    const taken: T[] = [];
    let full = false;
    const held = this.#ring.filter(({ key }) => !mayGo(key));
    if (held.length > 0) this.#ring = this.#ring.filter(({ key }) => mayGo(key));
    while (!full && taken.length < atMost && this.#ring.length > 0) {
      const round = this.#ring;
      const left: Lane<T>[] = [];
      let turn = 0;
      for (; turn < round.length && !full && taken.length < atMost; turn++) {
        const lane = round[turn] as Lane<T>;
        const item = lane.items[lane.next++] as T;
        taken.push(item);
        full = isEnough(item);
        if (lane.next === lane.items.length) this.#lanes.delete(lane.key);
        else left.push(lane);
      }
      // Whoever did not have its turn in this round comes first in the next.
      this.#ring = [...round.slice(turn), ...left];
    }
    this.#ring = [...held, ...this.#ring];
    for (const lane of this.#ring) {
      if (lane.next > 1024 && lane.next * 2 > lane.items.length) {
        lane.items.splice(0, lane.next);
        lane.next = 0;
      }
    }
    this.#size -= taken.length;
    return taken;
  }
}
