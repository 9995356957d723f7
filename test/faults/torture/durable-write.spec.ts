import { expect, it } from '@jest/globals';
import { isDurableWrite } from './durable-write.ts';

it.each([
  ['commit', true, true],
  ['COMMIT;', true, true],
  ['insert into events values (1);\n  commit and chain', true, true],
  ['insert into tasks values (1)', false, true],
  ['insert into tasks values (1)', true, false],
  ['with a as (select 1) update tasks set x = 1', false, true],
  ['with picked as (select id from tasks for update skip locked) select * from picked', false, false],
  ['select 1', false, false],
  ['begin', false, false],
  ['rollback', true, false],
])('knows that the answer to %j (in a transaction: %j) means that something is durable: %j', (sql, inside, durable) => {
  expect(isDurableWrite(sql, inside)).toBe(durable);
});
