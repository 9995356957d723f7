import type { Cents } from './money.ts';

export interface Posting {
  readonly account: string;
  readonly amount: Cents;
}
export interface Entry {
  /** As in 2026-03-31. */
  readonly date: string;
  readonly text: string;
  readonly postings: readonly Posting[];
}

/** Entries in the order in which they were booked; each one balances. */
export class Ledger {
  readonly #entries: Entry[] = [];

  book(entry: Entry): void {
    const sum = entry.postings.reduce((total, posting) => total + posting.amount, 0);
    if (entry.postings.length < 2) throw new Error('An entry has at least two postings');
    if (sum !== 0) throw new Error(`"${entry.text}" does not balance: ${sum} cents are left over`);
    this.#entries.push(entry);
  }

  entries(): readonly Entry[] {
    return this.#entries;
  }

  balance(account: string): Cents {
    let total = 0;
    for (const entry of this.#entries)
      for (const posting of entry.postings) if (posting.account === account) total += posting.amount;
    return total;
  }
}
