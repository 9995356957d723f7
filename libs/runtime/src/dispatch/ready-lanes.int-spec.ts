import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Database } from '#platform/database';
import { testDatabase, type TestDatabase } from '#test/database';
import { ReadyLanes } from './ready-lanes.ts';

let test: TestDatabase;
let database: Database;
let lanes: ReadyLanes;
beforeAll(async () => {
  test = await testDatabase();
  database = await test.open();
}, 60_000);
afterAll(() => test.drop());
beforeEach(async () => {
  await test.sql('truncate task_ready');
  lanes = new ReadyLanes(database);
  // The look that a new process begins with.
  expect(await lanes.atHand()).toEqual([]);
});

const another = (lane: number, seq: number) =>
  test.sql(
    `insert into task_ready (lane, seq, task_id, ready_at, attempts) values ($1, $2::bigint, 'task_' || $2::bigint, muster_now(), 0)`,
    [lane, seq],
  );

describe('lanes that have something', () => {
  it('are at hand at once where this process filled them, without a look for what others did', async () => {
    await another(2, 7);
    lanes.hintAnywhere();
    lanes.hint(1, 5);
    expect(await lanes.atHand()).toEqual([1]);
  });

  it('are found by a look when others filled them', async () => {
    await another(2, 7);
    lanes.hintAnywhere();
    expect(lanes.lookIn).not.toBeNull();
    expect(await lanes.lookElsewhere()).toBe(true);
    expect(await lanes.atHand()).toEqual([2]);
    expect(lanes.lookIn).toBeNull();
  });

  it('keep their place through a look for others, whatever is claimed meanwhile', async () => {
    lanes.hint(1, 5);
    const { hints } = lanes.cursorOf(1);
    lanes.taken(1, { last: 9_000, emptied: true, hints });
    const place = lanes.cursorOf(1).after;
    lanes.hintAnywhere();
    expect(await lanes.lookElsewhere()).toBe(false);
    expect(lanes.cursorOf(1).after).toBe(place);
  });
});
