import { idPrefixes, type IdKind } from '@muster/contracts';
import { randomFillSync } from 'node:crypto';

/** New ids: a UUIDv7 as a TypeID, `task_01jd9…`. Injected, so that a test can own them. */
export abstract class Ids {
  abstract next(kind: IdKind): string;
}

const digits = '0123456789abcdefghjkmnpqrstvwxyz';
/** Every pair of digits, so that ten bits are one look. */
const pairs = Array.from({ length: 1024 }, (_, n) => `${digits[n >> 5]}${digits[n & 31]}`);
const pair = (bits: number): string => pairs[bits & 1023] as string;
const ten = 1024;

/**
 * Ids by the hundred thousand each second: the 128 bits are put together as digits, never as bytes. Those of one process
 * are in the order in which they were made, also within a millisecond, by a counter in the first random bits (RFC 9562, 6.2,
 * method 1); 44 bits of each are random, and the counter begins at a random number in each millisecond.
 */
export class SystemIds extends Ids {
  private readonly pool = new Uint32Array(1024);
  private at = 1024;
  private ms = 0;
  /** 30 bits: the 12 behind the version, and the first 18 behind the variant. */
  private counter = 0;

  next(kind: IdKind): string {
    const now = Date.now();
    if (now > this.ms) {
      this.ms = now;
      this.counter = this.random() & 0x1fff_ffff;
    } else if (++this.counter === 0x4000_0000) {
      // More than there are numbers for in what the clock still calls the same millisecond.
      this.ms += 1;
      this.counter = this.random() & 0x1fff_ffff;
    }
    const head = this.counter >>> 18;
    const tail = this.counter & 0x3_ffff;
    const low = this.random();
    const high = this.random();
    // 130 bits in 26 digits: two zeros, 48 of time, 4 of version, 12, 2 of variant, 18, 44 random.
    const time = this.ms;
    const t1 = Math.floor(time / ten ** 4);
    const t2 = Math.floor(time / ten ** 3);
    const t3 = Math.floor(time / ten ** 2);
    const t4 = Math.floor(time / ten);
    return (
      `${idPrefixes[kind]}_${pair(t1)}${pair(t2)}${pair(t3)}${pair(t4)}${pair(time)}` +
      `${pair((7 << 6) | (head >>> 6))}${pair(((head & 63) << 4) | (2 << 2) | (tail >>> 16))}` +
      `${pair(tail >>> 6)}${pair(((tail & 63) << 4) | (high & 15))}` +
      `${pair(low >>> 22)}${pair(low >>> 12)}${pair(low >>> 2)}${pair(((low & 3) << 8) | ((high >>> 4) & 255))}`
    );
  }

  private random(): number {
    if (this.at === this.pool.length) {
      randomFillSync(this.pool);
      this.at = 0;
    }
    return this.pool[this.at++] as number;
  }
}
