import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reservations } from '../src/reservations.ts';

test('queues each reader once', () => {
  const reservations = new Reservations();
  reservations.add('1', 'ann', '2024-05-01');
  reservations.add('1', 'ann', '2024-05-02');
  assert.equal(reservations.waitingFor('1').length, 1);
  assert.equal(reservations.cancel('1', 'ann'), true);
  assert.equal(reservations.cancel('1', 'ann'), false);
});

test('keeps a copy for the first in the queue, for a week', () => {
  const reservations = new Reservations();
  reservations.add('1', 'ann', '2024-05-01');
  reservations.add('1', 'bo', '2024-05-02');
  assert.equal(reservations.hold('1', '2024-05-03')?.reader, 'ann');
  assert.deepEqual(reservations.expire('2024-05-10'), []);
  assert.deepEqual(
    reservations.expire('2024-05-11').map((each) => each.reader),
    ['ann'],
  );
  assert.equal(reservations.hold('2', '2024-05-03'), null);
});
