import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reminderLetter, toneOf } from '../src/letters.ts';

test('grows less kind with time', () => {
  assert.equal(toneOf(6), 'kind');
  assert.equal(toneOf(7), 'firm');
  assert.equal(toneOf(28), 'last');
});

test('says what is late and what it costs', () => {
  const letter = reminderLetter({ reader: 'Ann', title: 'Coding', due: '2024-05-01', fine: 150 }, '2024-05-09');
  assert.match(letter, /^Dear Ann,/);
  assert.match(letter, /“Coding”, due on 2024-05-01, 8 days late\./);
  assert.match(letter, /costs you 1\.50 €/);
});

test('does not speak of money when there is none to pay', () => {
  const letter = reminderLetter({ reader: 'Ann', title: 'Coding', due: '2024-05-01', fine: 0 }, '2024-05-02');
  assert.match(letter, /1 day late/);
  assert.doesNotMatch(letter, /costs/);
});
