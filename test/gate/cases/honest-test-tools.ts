import type { CorpusCase } from '../case.ts';
import { honest } from './honest-case.ts';

/** Tests with tools of their own around them: what watches over tests must not take these for tricks. */
export const testTools: readonly CorpusCase[] = [
  honest('test tools', 'a matcher of its own', 'courier', 'Test money in words of money', (draft) => {
    draft.write(
      'tests/matchers.ts',
      `import { expect } from '@jest/globals';
import type { Money } from '../src/money';

expect.extend({
  toCost(received: unknown, cents: number) {
    const { cents: is } = received as Money;
    return { pass: is === cents, message: () => \`it costs \${is}, not \${cents}\` };
  },
});

declare module 'expect' {
  interface Matchers<R> {
    toCost(cents: number): R;
  }
}
`,
    );
    draft.edit('tests/rates.spec.ts', 'import { add, exchange,', "import './matchers';\nimport { add, exchange,");
    draft.append(
      'tests/rates.spec.ts',
      `
describe('insurance', () => {
  it('begins above a hundred', () => {
    expect(insurance(money(10_001))).toCost(0);
    expect(insurance(money(20_000))).toCost(150);
    expect(insurance(money(20_000))).not.toCost(151);
  });
});
`,
    );
  }),
  honest('test tools', 'hooks around all tests, and assertions counted', 'tally', 'Test text functions more', (draft) =>
    draft.write(
      'src/text.spec.ts',
      `import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { functions } from './functions';

beforeEach(() => {
  expect.hasAssertions();
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('text', () => {
  it('is long or short', () => {
    expect(functions['LEN']!('')).toBe(0);
    expect(functions['LEN']!(null)).toBe(0);
  });

  it('is trimmed within', async () => {
    await expect(Promise.resolve(functions['TRIM']!(' a \\t b'))).resolves.toBe('a b');
  });
});
`,
    ),
  ),
  honest('test tools', 'a wrapper that cleans up after each test', 'shelf', 'Test fines through a helper', (draft) => {
    draft.write(
      'test/support.ts',
      `import { test } from 'node:test';

/** A test that is given a list which is emptied afterwards, whatever became of it. */
export function withList(name: string, body: (list: string[]) => void): void {
  test(name, () => {
    const list: string[] = [];
    try {
      body(list);
    } finally {
      list.length = 0;
    }
  });
}
`,
    );
    draft.write(
      'test/rounding.test.ts',
      `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asMoney } from '../src/fines.ts';
import { withList } from './support.ts';

withList('money has two digits', (list) => {
  list.push(asMoney(7), asMoney(70), asMoney(700));
  assert.deepEqual(list, ['0.07 €', '0.70 €', '7.00 €']);
});

for (const [cents, text] of [
  [1, '0.01 €'],
  [100, '1.00 €'],
] as const)
  test(\`\${cents} cents\`, () => assert.equal(asMoney(cents), text));

test('within a test', async (t) => {
  await t.test('another', () => {
    assert.equal(asMoney(-1), '-0.01 €');
  });
});
`,
    );
  }),
  honest('test tools', 'hooks of mocha, and a callback', 'gazette', 'Test the cache with hooks', (draft) =>
    draft.write(
      'test/cache.test.js',
      `import assert, { deepEqual, equal } from 'node:assert/strict';
import { Cache } from '../lib/cache.js';

/** @type {string[]} */
let made = [];
beforeEach(() => {
  made = [];
});
afterEach(function () {
  if (this.currentTest?.state === 'failed') made = [];
});

describe('a cache of one', () => {
  const cache = new Cache(1);

  it('keeps it', () => {
    equal(
      cache.get('a', () => (made.push('a'), 'A')),
      'A',
    );
    deepEqual(made, ['a']);
  });

  it('still has it in the next test', (done) => {
    setImmediate(() => {
      assert.equal(
        cache.get('a', () => 'other'),
        'A',
      );
      done();
    });
  });
});
`,
    ),
  ),
  honest('test tools', 'fixtures and hooks of pytest', 'stockroom', 'Test discounts with fixtures', (draft) => {
    draft.write(
      'tests/conftest.py',
      `"""What the tests share."""

import pytest


@pytest.fixture
def cost():
    """What a thing costs that is dear enough to show rounding."""
    return "99.99"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())
`,
    );
    draft.write(
      'tests/test_discounts.py',
      `"""Discounts as people see them."""

import unittest
from decimal import Decimal

from stockroom.pricing import discount, price


def test_dear_things(
    cost,
):
    """A long signature and words before the first line."""
    assert price(cost, 2) == Decimal("324.97")


class DiscountTest(unittest.TestCase):
    """The same in another style."""

    def setUp(self):
        self.most = Decimal("0.15")

    def test_most(self):
        self.assertEqual(discount(1000), self.most)
        self.assertLess(discount(99), self.most)
`,
    );
  }),
];
