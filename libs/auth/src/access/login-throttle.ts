import { Injectable } from '@nestjs/common';
import { Clock } from '#kernel';
import { TooManyAttempts } from '../auth.errors.ts';

interface Entry {
  failures: number;
  blockedUntil: number;
  forgetAt: number;
}
/** Failures that are free, then a pause that doubles with each further round of them. */
const perAccount = 10;
const perAddress = 100;
const firstPauseMs = 30_000;
const longestPauseMs = 15 * 60_000;
const memory = 10_000;

/**
 * Slows guessing down, by account and by address. Counted before the password is looked at, so that a hundred guesses at
 * once count as a hundred. Accounts that do not exist are counted like those that do. Bounded: the oldest entry goes first.
 */
@Injectable()
export class LoginThrottle {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.entries.size;
  }

  /** Throws when it is too early. @returns call it when the password was right */
  enter(email: string, address: string): () => void {
    const account = `account ${email.toLowerCase()}`;
    const place = `address ${address}`;
    const now = this.clock.now().getTime();
    for (const key of [account, place]) {
      const blockedUntil = this.entries.get(key)?.blockedUntil ?? 0;
      if (blockedUntil > now) throw new TooManyAttempts(Math.ceil((blockedUntil - now) / 1000));
    }
    this.count(account, perAccount, now);
    this.count(place, perAddress, now);
    return () => {
      this.entries.delete(account);
      const entry = this.entries.get(place);
      if (entry !== undefined) entry.failures = Math.max(0, entry.failures - 1);
    };
  }

  private count(key: string, free: number, now: number): void {
    const known = this.entries.get(key);
    const entry = known === undefined || known.forgetAt <= now ? { failures: 0, blockedUntil: 0, forgetAt: 0 } : known;
    entry.failures += 1;
    if (entry.failures % free === 0) {
      entry.blockedUntil = now + Math.min(longestPauseMs, firstPauseMs * 2 ** (entry.failures / free - 1));
    }
    entry.forgetAt = Math.max(now, entry.blockedUntil) + longestPauseMs;
    this.entries.delete(key);
    this.entries.set(key, entry);
    if (this.entries.size > memory) {
      const oldest = this.entries.keys().next().value;
      if (oldest !== undefined) this.entries.delete(oldest);
    }
  }
}
