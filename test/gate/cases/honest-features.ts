import type { CorpusCase } from '../case.ts';
import { honest } from './honest-case.ts';

/** More ways in which features are written. */
export const moreFeatures: readonly CorpusCase[] = [
  honest('feature', 'decorators and cached properties', 'stockroom', 'Add a report of the ledger', (draft) => {
    draft.write(
      'src/stockroom/report.py',
      `"""What a ledger tells at the end of a month."""

from collections import Counter
from functools import cached_property


class MonthReport:
    """Movements of one month, counted once."""

    def __init__(self, ledger, month):
        self._movements = [each for each in ledger.movements() if each.day.startswith(month)]

    @cached_property
    def received(self):
        """How many came in, by code."""
        return Counter({code: count for code, count in self._sums(1).items() if count})

    @cached_property
    def issued(self):
        """How many went out, by code."""
        return self._sums(-1)

    @property
    def busiest(self):
        """The code that moved most, or None."""
        moved = self.received + self.issued
        return max(sorted(moved), key=moved.__getitem__) if moved else None

    def _sums(self, sign):
        counts = Counter()
        for each in self._movements:
            if each.quantity * sign > 0:
                counts[each.code] += each.quantity * sign
        return counts
`,
    );
    draft.write(
      'tests/test_report.py',
      `from stockroom.ledger import Ledger
from stockroom.report import MonthReport


def test_a_month():
    ledger = Ledger()
    ledger.receive("2024-01-31", "AB-0001", 9, "1")
    ledger.receive("2024-02-01", "AB-0001", 2, "1")
    ledger.receive("2024-02-02", "CD-0001", 4, "1")
    ledger.issue("2024-02-03", "AB-0001", 5)
    report = MonthReport(ledger, "2024-02")
    assert report.received == {"AB-0001": 2, "CD-0001": 4}
    assert report.issued == {"AB-0001": 5}
    assert report.busiest == "AB-0001"


def test_a_month_without_movements():
    assert MonthReport(Ledger(), "2024-02").busiest is None
`,
    );
  }),
  honest('feature', 'an event emitter and async iteration', 'courier', 'Stream scans', (draft) => {
    draft.write(
      'src/stream.ts',
      `export class Stream<T> implements AsyncIterable<T> {
  private readonly waiting: ((result: IteratorResult<T>) => void)[] = [];
  private readonly ready: T[] = [];
  private ended = false;

  push(value: T): void {
    if (this.ended) throw new Error('This stream has ended.');
    const next = this.waiting.shift();
    if (next === undefined) this.ready.push(value);
    else next({ value, done: false });
  }

  end(): void {
    this.ended = true;
    for (const next of this.waiting.splice(0)) next({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: () => {
        if (this.ready.length > 0) return Promise.resolve({ value: this.ready.shift()!, done: false });
        if (this.ended) return Promise.resolve({ value: undefined, done: true });
        return new Promise((resolve) => this.waiting.push(resolve));
      },
    };
  }
}
`,
    );
    draft.write(
      'tests/stream.spec.ts',
      `import { expect, it } from '@jest/globals';
import { Stream } from '../src/stream';

it('hands over what comes, before and after it is asked for', async () => {
  const stream = new Stream<number>();
  stream.push(1);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const each of stream) seen.push(each);
  })();
  await Promise.resolve();
  stream.push(2);
  await new Promise((resolve) => setImmediate(resolve));
  stream.end();
  await reading;
  expect(seen).toEqual([1, 2]);
  expect(() => stream.push(3)).toThrow('has ended');
});

it('ends for whoever asks later', async () => {
  const stream = new Stream<number>();
  stream.end();
  expect(await stream[Symbol.asyncIterator]().next()).toEqual({ value: undefined, done: true });
});
`,
    );
  }),
  honest('feature', 'composed arrows', 'tally', 'Add a pipeline of formats', (draft) => {
    draft.write(
      'src/pipeline.ts',
      `type Step = (text: string) => string;

export const pipe = (...steps: Step[]): Step => (text) => steps.reduce((so, step) => step(so), text);

export const upper: Step = (text) => text.toUpperCase();

export const padded = (width: number): Step => (text) => text.padStart(width, '.');
`,
    );
    draft.write(
      'src/pipeline.spec.ts',
      `import { expect, it } from 'vitest';
import { padded, pipe, upper } from './pipeline';

it('does one thing after the other', () => {
  expect(pipe(upper, padded(5))('abc')).toBe('..ABC');
  expect(pipe()('abc')).toBe('abc');
});
`,
    );
  }),
  honest('feature', 'a default export and a closure', 'gazette', 'Count visits', (draft) => {
    draft.write(
      'lib/counter.js',
      `/** Counts visits of pages. */
export default function counter() {
  /** @type {Map<string, number>} */
  const visits = new Map();
  return {
    /** @param {string} page */
    visit(page) {
      visits.set(page, (visits.get(page) ?? 0) + 1);
      return this;
    },
    top: (most = 3) => [...visits].sort(([, a], [, b]) => b - a).slice(0, most),
  };
}
`,
    );
    draft.write(
      'test/counter.test.js',
      `import { expect } from './expect.js';
import counter from '../lib/counter.js';

it('counts', () => {
  const visits = counter().visit('b').visit('a').visit('a');
  expect(visits.top()).toEqual([['a', 2], ['b', 1]]);
  expect(visits.top(1)).toEqual([['a', 2]]);
});
`,
    );
    draft.write(
      'test/expect.js',
      `import assert from 'node:assert/strict';

export const expect = (actual) => ({ toEqual: (expected) => assert.deepEqual(actual, expected) });
`,
    );
  }),
  honest('feature', 'async functions of Python', 'stockroom', 'Ask suppliers for prices', (draft) => {
    draft.write(
      'src/stockroom/suppliers.py',
      `"""Asks several suppliers at once."""

import asyncio


async def best_offer(code, suppliers, timeout=1.0):
    """The lowest price and who asks it; suppliers that do not answer in time are left out."""

    async def ask(name, supplier):
        try:
            return await asyncio.wait_for(supplier(code), timeout), name
        except asyncio.TimeoutError:
            return None

    offers = await asyncio.gather(*(ask(name, supplier) for name, supplier in suppliers.items()))
    return min((offer for offer in offers if offer is not None), default=None)
`,
    );
    draft.write(
      'tests/test_suppliers.py',
      `import asyncio

from stockroom.suppliers import best_offer


def supplier(price, delay=0):
    async def answer(_code):
        await asyncio.sleep(delay)
        return price

    return answer


def test_the_lowest_price_wins():
    suppliers = {"a": supplier(3), "b": supplier(2), "slow": supplier(1, delay=5)}
    assert asyncio.run(best_offer("AB-0001", suppliers, timeout=0.05)) == (2, "b")
    assert asyncio.run(best_offer("AB-0001", {})) is None
`,
    );
  }),
];
