import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestDatabase, testDatabase } from '#test/database';
import { type Database, hotConnections } from './index.ts';

describe('connections for prepared statements', () => {
  let testing: TestDatabase;
  let database: Database;
  const slow = (seconds: number): Promise<{ pid: number }[]> =>
    database.hot('slow', 'select pg_backend_pid() as pid, pg_sleep($1)', [seconds]);
  const quick = (): Promise<{ pid: number }[]> => database.hot('quick', 'select pg_backend_pid() as pid', []);

  beforeAll(async () => {
    testing = await testDatabase();
    database = await testing.open([]);
  });
  afterAll(() => testing.drop());

  test('what comes one after the other goes over one of them', async () => {
    const pids = new Set<number>();
    for (let n = 0; n < 3; n++) for (const rows of [await slow(0), await quick()]) pids.add(rows[0]!.pid);
    expect(pids.size).toBe(1);
  });

  test('what comes at once goes over all of them, and who comes later gets the first that is free', async () => {
    const [held, free] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const holding = database.transaction(async (tx) => {
      await tx.sql('select pg_advisory_xact_lock(77)');
      held.resolve();
      await free.promise;
    });
    await held.promise;
    const long = database.hot('long', 'select pg_advisory_xact_lock(77)', []);
    // None of these waits behind it.
    const others = await Promise.all(Array.from({ length: 3 * hotConnections }, () => slow(0.1)));
    expect(new Set(others.map(([row]) => row?.pid)).size).toBe(hotConnections - 1);
    free.resolve();
    await Promise.all([holding, long]);
  });

  test('a statement goes where it was prepared, as long as that is free', async () => {
    const [first] = await quick();
    const pids = new Set<number>();
    for (let n = 0; n < 10; n++) pids.add((await quick())[0]!.pid);
    expect([...pids]).toEqual([first?.pid]);
  });

  test('a connection that is lost is opened again, by whoever comes next', async () => {
    const [before] = await quick();
    await testing.sql('select pg_terminate_backend($1)', [before?.pid]);
    let after = await quick().catch(() => null);
    after ??= await quick();
    expect(after[0]?.pid).not.toBe(before?.pid);
  });

  test('once it is closed it opens no other', async () => {
    await database.close();
    await expect(quick()).rejects.toThrow('closed');
  });
});
