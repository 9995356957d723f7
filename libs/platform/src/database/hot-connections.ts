import type pg from 'pg';

interface Place {
  readonly pool: pg.Pool;
  /** What its connection has prepared. */
  prepared: Set<string>;
  busy: boolean;
}

/**
 * A few connections for statements that are prepared. Each statement goes where it was prepared before, as long as nobody is at work there: to plan one
 * takes longer than to run it, and after a loss of all connections every server does so at the same moment. To connect takes longer still: what comes
 * after a loss goes over what is there, as far as it is free. Where all are at work, who has waited longest gets the first that is free.
 */
export class HotConnections {
  readonly #places: readonly Place[];
  readonly #waiting: ((place: Place) => void)[] = [];

  /** @param pools of one connection each */
  constructor(pools: readonly pg.Pool[]) {
    this.#places = pools.map((pool) => {
      const place: Place = { pool, prepared: new Set(), busy: false };
      pool.on('connect', () => (place.prepared = new Set()));
      return place;
    });
  }

  async query<Row extends object>(name: string, text: string, values: unknown[]): Promise<Row[]> {
    const place = this.#freeFor(name) ?? (await new Promise<Place>((resolve) => this.#waiting.push(resolve)));
    place.busy = true;
    try {
      const { rows } = await place.pool.query<Row>({ name, text, values });
      place.prepared.add(name);
      return rows;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) place.busy = false;
      else next(place);
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#places.map(({ pool }) => pool.end()));
  }

  #freeFor(name: string): Place | undefined {
    const free = this.#places.filter(({ busy }) => !busy);
    const connected = free.filter(({ pool }) => pool.totalCount > 0);
    return connected.find(({ prepared }) => prepared.has(name)) ?? leastUsed(connected) ?? free[0];
  }
}

const leastUsed = (places: readonly Place[]): Place | undefined =>
  places.toSorted((a, b) => a.prepared.size - b.prepared.size)[0];
