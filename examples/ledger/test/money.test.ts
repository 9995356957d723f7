import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAmount, parseAmount, split } from '../src/money.ts';

test('amounts are read as cents', () => {
  assert.equal(parseAmount('12.50'), 1250);
  assert.equal(parseAmount('7'), 700);
  assert.equal(parseAmount('-0.05'), -5);
});

test('what is not an amount is refused', () => {
  assert.throws(() => parseAmount('12,50'), /not an amount/);
});

test('amounts are printed with two digits', () => {
  assert.equal(formatAmount(1250), '12.50');
  assert.equal(formatAmount(-5), '-0.05');
});

test('a split loses no cent', () => {
  assert.deepEqual(split(100, 3), [34, 33, 33]);
  assert.deepEqual(split(-100, 3), [-34, -33, -33]);
  assert.throws(() => split(100, 0), /at least one part/);
});
