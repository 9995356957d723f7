import type pg from 'pg';

interface Place {
  readonly pool: pg.Pool;
  readonly prepared: Set<string>;
}

/**
 * A few connections for statements that are prepared. Each statement goes where it was prepared before, as long as nobody is at work there: to plan one
 * takes longer than to run it, and after a loss of all connections every server does so at the same moment.
 */
export class HotConnections {
  readonly #places: readonly Place[];
  #next = 0;

  /** @param pools of one connection each */
  constructor(pools: readonly pg.Pool[]) {
    this.#places = pools.map((pool) => {
      const prepared = new Set<string>();
      pool.on('remove', () => prepared.clear());
      return { pool, prepared };
    });
  }

  async query<Row extends object>(name: string, text: string, values: unknown[]): Promise<Row[]> {
    const place = this.#placeFor(name);
    place.prepared.add(name);
    return (await place.pool.query<Row>({ name, text, values })).rows;
  }

  async end(): Promise<void> {
    await Promise.all(this.#places.map(({ pool }) => pool.end()));
  }

  /** To connect takes longest: what comes after a loss goes over what is there, as far as it is free. */
  #placeFor(name: string): Place {
    const free = this.#places.filter(({ pool }) => isFree(pool));
    const connected = free.filter(({ pool }) => pool.totalCount > 0);
    const known = ({ prepared }: Place): boolean => prepared.has(name);
    const found = connected.find(known) ?? leastUsed(connected) ?? free[0] ?? this.#places.find(known);
    return found ?? this.#places[this.#next++ % this.#places.length]!;
  }
}

const isFree = ({ totalCount, idleCount, waitingCount }: pg.Pool): boolean =>
  waitingCount === 0 && (totalCount === 0 || idleCount > 0);

const leastUsed = (places: readonly Place[]): Place | undefined =>
  places.toSorted((a, b) => a.prepared.size - b.prepared.size)[0];
