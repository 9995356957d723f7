import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Catalogue } from '../src/catalogue.ts';
import { Desk } from '../src/desk.ts';

const isbn = '9780306406157';

describe('desk', () => {
  let desk: Desk;
  beforeEach(() => {
    const catalogue = new Catalogue();
    catalogue.add({ isbn, title: 'Error Control', authors: ['Peter Sweeney'], copies: 1 });
    desk = new Desk(catalogue, { closedWeekdays: [], closedDays: [] });
  });

  it('lends for four weeks', () => {
    assert.deepEqual(desk.lend(isbn, 'ann', '2024-05-01'), { isbn, reader: 'ann', due: '2024-05-29', renewals: 0 });
    assert.equal(desk.loansOf('ann').length, 1);
  });

  it('has no copy for a second reader', () => {
    desk.lend(isbn, 'ann', '2024-05-01');
    assert.throws(() => desk.lend(isbn, 'bo', '2024-05-02'), { code: 'none_left' });
  });

  it('takes a late book back for a fine', () => {
    desk.lend(isbn, 'ann', '2024-05-01');
    assert.equal(desk.takeBack(isbn, 'ann', '2024-06-03'), 75);
    assert.equal(desk.loansOf('ann').length, 0);
    assert.throws(() => desk.takeBack(isbn, 'ann', '2024-06-03'), { code: 'not_lent' });
  });

  it('keeps a returned copy for whoever waits', () => {
    desk.lend(isbn, 'ann', '2024-05-01');
    desk.reservations.add(isbn, 'bo', '2024-05-02');
    desk.takeBack(isbn, 'ann', '2024-05-03');
    assert.throws(() => desk.lend(isbn, 'cy', '2024-05-03'), { code: 'none_left' });
    assert.equal(desk.lend(isbn, 'bo', '2024-05-04').reader, 'bo');
    assert.equal(desk.reservations.waitingFor(isbn).length, 0);
  });

  it('renews twice, and not when somebody waits', () => {
    desk.lend(isbn, 'ann', '2024-05-01');
    assert.equal(desk.renew(isbn, 'ann', '2024-05-20').due, '2024-06-17');
    assert.equal(desk.renew(isbn, 'ann', '2024-06-10').renewals, 2);
    assert.throws(() => desk.renew(isbn, 'ann', '2024-06-11'), { code: 'renewed_enough' });
  });

  it('does not renew what others wait for', () => {
    desk.lend(isbn, 'ann', '2024-05-01');
    desk.reservations.add(isbn, 'bo', '2024-05-02');
    assert.throws(() => desk.renew(isbn, 'ann', '2024-05-20'), { code: 'others_wait' });
  });

  it('lists what is overdue', () => {
    desk.lend(isbn, 'ann', '2024-05-01');
    assert.deepEqual(desk.overdue('2024-05-29'), []);
    assert.deepEqual(
      desk.overdue('2024-05-30').map((loan) => loan.reader),
      ['ann'],
    );
  });

  it('lends ten books at most to one reader', () => {
    const catalogue = new Catalogue();
    catalogue.add({ isbn, title: 'Error Control', authors: [], copies: 20 });
    const large = new Desk(catalogue, { closedWeekdays: [], closedDays: [] });
    for (let n = 0; n < 10; n++) large.lend(isbn, 'ann', '2024-05-01');
    assert.throws(() => large.lend(isbn, 'ann', '2024-05-01'), { code: 'too_many_loans' });
  });
});
