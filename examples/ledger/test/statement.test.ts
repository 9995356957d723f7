import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../src/ledger.ts';
import { statement } from '../src/statement.ts';

test('a statement ends with the balance', () => {
  const ledger = new Ledger();
  ledger.book({
    date: '2026-03-01',
    text: 'Rent',
    postings: [
      { account: 'bank', amount: -80000 },
      { account: 'rent', amount: 80000 },
    ],
  });
  const lines = statement(ledger, 'bank');
  assert.match(lines[0]!, /bank$/);
  assert.equal(lines[1], '2026-03-01 Rent: -800.00');
  assert.equal(lines.at(-1), 'Balance: -800.00');
});
