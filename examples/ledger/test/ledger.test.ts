import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../src/ledger.ts';

const rent = {
  date: '2026-03-01',
  text: 'Rent',
  postings: [
    { account: 'bank', amount: -80000 },
    { account: 'rent', amount: 80000 },
  ],
};

test('an entry moves money between accounts', () => {
  const ledger = new Ledger();
  ledger.book(rent);
  assert.equal(ledger.balance('bank'), -80000);
  assert.equal(ledger.balance('rent'), 80000);
  assert.equal(ledger.entries().length, 1);
});

test('an entry that does not balance is refused', () => {
  const ledger = new Ledger();
  assert.throws(
    () => ledger.book({ ...rent, postings: [rent.postings[0]!, { account: 'rent', amount: 1 }] }),
    /does not balance/,
  );
  assert.throws(() => ledger.book({ ...rent, postings: [] }), /at least two postings/);
});
