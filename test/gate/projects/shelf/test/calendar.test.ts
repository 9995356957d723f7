import assert from 'node:assert/strict';
import { test } from 'node:test';
import { daysBetween, isOpen, openDaysBetween, plusDays } from '../src/calendar.ts';

const opening = { closedWeekdays: [0, 1], closedDays: ['2024-05-01'] };

test('counts days over the ends of months and years', () => {
  assert.equal(plusDays('2024-02-28', 1), '2024-02-29');
  assert.equal(plusDays('2024-01-01', -1), '2023-12-31');
  assert.equal(daysBetween('2024-02-28', '2024-03-01'), 2);
  assert.equal(daysBetween('2024-03-01', '2024-02-28'), -2);
});

test('is closed on weekdays and on days', () => {
  assert.equal(isOpen('2024-04-28', opening), false);
  assert.equal(isOpen('2024-05-01', opening), false);
  assert.equal(isOpen('2024-05-02', opening), true);
});

test('counts open days only', () => {
  assert.equal(openDaysBetween('2024-04-26', '2024-05-03', opening), 4);
  assert.equal(openDaysBetween('2024-05-03', '2024-05-03', opening), 0);
});
