import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type TestDatabase, testDatabase } from '#test/database';
import type { Database } from '#platform/database';
import { PostgresCarrier, Signals } from '#platform/redis';
import { Caches } from './index.ts';

async function until(come: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await come()); tries++) {
    if (tries > 2000) throw new Error('It did not come true.');
    await new Promise((wake) => setTimeout(wake, 5));
  }
}

describe('caches', () => {
  let testing: TestDatabase;
  let replicas: { database: Database; signals: Signals; caches: Caches; reads: string[] }[];
  const cleanup: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    testing = await testDatabase();
    await testing.sql('create table colours (id text primary key, colour text)');
  });
  beforeEach(async () => {
    replicas = [];
    for (let n = 0; n < 2; n++) {
      const database = await testing.open();
      const signals = new Signals(new PostgresCarrier(database));
      signals.onApplicationBootstrap();
      cleanup.push(() => signals.onApplicationShutdown());
      await until(() => signals.connected);
      replicas.push({ database, signals, caches: new Caches(database, signals), reads: [] });
    }
    await testing.sql(`insert into colours values ('a', 'red') on conflict (id) do update set colour = 'red'`);
    await testing.sql(`delete from colours where id <> 'a'`);
  });
  afterEach(async () => {
    for (const stop of cleanup.splice(0)) await stop();
  });
  afterAll(() => testing.drop());

  const cacheOf = (replica: number) => {
    const { database, caches, reads } = replicas[replica] as (typeof replicas)[number];
    return caches.make<string | null>({
      forgetOn: ['colour.changed'],
      read: async (id) => {
        reads.push(id);
        const [row] = await database.sql<{ colour: string }>('select colour from colours where id = $1', [id]);
        return row?.colour ?? null;
      },
      keep: (colour) => colour !== null,
    });
  };
  const paint = (replica: number, colour: string, type = 'colour.changed') =>
    replicas[replica]?.database.transaction(async (tx) => {
      await tx.sql(`insert into colours values ('a', $1) on conflict (id) do update set colour = $1`, [colour]);
      tx.append({ type, teamId: 'team_x', projectId: null, subject: 'a', data: {} });
    });

  test('read once what many ask for', async () => {
    const cache = cacheOf(0);
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => cache.get('a'))))).toEqual(new Set(['red']));
    await cache.get('a');
    expect(replicas[0]?.reads).toEqual(['a']);
  });

  test('are right for whoever asks after the change was answered', async () => {
    const cache = cacheOf(0);
    for (let n = 0; n < 30; n++) {
      await cache.get('a');
      const asking = cache.get('a');
      await paint(0, `colour ${n}`);
      expect(await cache.get('a')).toBe(`colour ${n}`);
      await asking;
    }
  });

  test('do not keep what was being read while it changed', async () => {
    const database = replicas[0]?.database as Database;
    let open: () => void = () => {};
    let reads = 0;
    const cache = replicas[0]?.caches.make<string>({
      forgetOn: ['colour.changed'],
      read: async () => {
        const [row] = await database.sql<{ colour: string }>(`select colour from colours where id = 'a'`);
        if (reads++ === 0) await new Promise<void>((resolve) => (open = resolve));
        return row?.colour ?? '';
      },
      keep: () => true,
    });
    const early = cache?.get('a');
    await until(() => reads === 1);
    await paint(0, 'blue');
    expect(await cache?.get('a')).toBe('blue');
    open();
    expect(await early).toBe('red');
    expect(await cache?.get('a')).toBe('blue');
  });

  test('hear of what another replica changed', async () => {
    const [here, there] = [cacheOf(0), cacheOf(1)];
    expect(await there.get('a')).toBe('red');
    await paint(0, 'green');
    expect(await here.get('a')).toBe('green');
    await until(async () => (await there.get('a')) === 'green');
  });

  test('find what was changed past them, and keep what other events tell of', async () => {
    const cache = cacheOf(0);
    expect(await cache.get('a')).toBe('red');
    await paint(0, 'grey', 'something.else');
    expect(replicas[0]?.reads).toEqual(['a']);
    await until(async () => (await cache.get('a')) === 'grey');
  });

  test('do not keep that there is nothing, nor an error', async () => {
    const cache = cacheOf(0);
    expect(await cache.get('b')).toBeNull();
    await testing.sql(`insert into colours values ('b', 'white')`);
    expect(await cache.get('b')).toBe('white');
    let failures = 1;
    const failing = replicas[0]?.caches.make({
      forgetOn: [],
      read: () => (failures-- > 0 ? Promise.reject(new Error('no')) : Promise.resolve('yes')),
      keep: () => true,
    });
    await expect(failing?.get('x')).rejects.toThrow('no');
    expect(await failing?.get('x')).toBe('yes');
  });
});
