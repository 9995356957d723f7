import { setTimeout as sleep } from 'node:timers/promises';
import type { Onlooker } from './ground.ts';

export interface HeldLease {
  readonly taskId: string;
  readonly fence: number;
  readonly instanceId: string;
}

/** Every lease there is, by the database's clock. */
const leases = `
  select task_id as "taskId", fence::float8 as fence, instance_id as "instanceId",
    (extract(epoch from lease_until - muster_now()) * 1000)::float8 as "leftMs"
  from task_running`;

/** Nobody overlooks a lease for so long after it has run out: the clock was stepped instead. */
const steppedMs = 600_000;

/** Reads all leases many times a second, beside the servers: who holds what, and when each lease ran out for the last time. */
export class LeaseWatch {
  /** By fence. */
  readonly expiries = new Map<number, number>();
  /** Fences of leases that had time left and ran out all the same: the database's clock was stepped over them. */
  readonly steppedOver = new Set<number>();
  #held: HeldLease[] = [];
  #stopped = false;
  #done: Promise<void> = Promise.resolve();

  readonly #onlooker: Onlooker;

  constructor(onlooker: Onlooker) {
    this.#onlooker = onlooker;
  }

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async look(): Promise<readonly HeldLease[]> {
    const rows = await this.#onlooker.query<HeldLease & { leftMs: number }>(leases);
    if (rows === null) return this.#held;
    const now = Date.now();
    for (const { fence, leftMs } of rows) {
      const known = this.expiries.get(fence);
      if (leftMs > 0) {
        this.expiries.set(fence, now + leftMs);
        this.steppedOver.delete(fence);
      }
      // It ran out since the last look, or the database's clock was stepped over it: then it is now.
      else if (known === undefined || known > now) {
        this.expiries.set(fence, known === undefined ? now + Math.max(leftMs, -200) : now);
        if (leftMs < -steppedMs) this.steppedOver.add(fence);
      }
    }
    this.#held = rows;
    return rows;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.look();
      await sleep(100);
    }
  }
}
