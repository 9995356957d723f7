import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asMoney, fineFor } from '../src/fines.ts';

const always = { closedWeekdays: [], closedDays: [] };

test('costs nothing within the days of grace', () => {
  assert.equal(fineFor('2024-05-10', '2024-05-09', always), 0);
  assert.equal(fineFor('2024-05-10', '2024-05-12', always), 0);
});

test('costs by the day after that, up to a limit', () => {
  assert.equal(fineFor('2024-05-10', '2024-05-13', always), 25);
  assert.equal(fineFor('2024-05-10', '2024-05-20', always), 200);
  assert.equal(fineFor('2024-05-10', '2024-12-24', always), 1000);
});

test('does not count days on which nobody can come', () => {
  assert.equal(fineFor('2024-05-10', '2024-05-14', { closedWeekdays: [0, 1], closedDays: [] }), 0);
});

test('writes money', () => {
  assert.equal(asMoney(5), '0.05 €');
  assert.equal(asMoney(1234, '$'), '12.34 $');
  assert.equal(asMoney(-250), '-2.50 €');
});
