import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestDatabase, testDatabase } from '#test/database';
import type { Database } from '#platform/database';
import { Batcher } from './index.ts';

interface Row {
  readonly id: number;
  readonly text: string;
}

describe('a batcher on PostgreSQL', () => {
  let testing: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    testing = await testDatabase();
    database = await testing.open();
    await testing.sql(
      `create table things (id integer primary key, text text not null check (text <> 'poison'), n integer default 0)`,
    );
  });
  afterAll(() => testing.drop());

  const insert = (items: readonly Row[], seconds = 0) =>
    database.hot<{ id: number }>(
      'insert things',
      `with made as (
         insert into things (id, text) select * from unnest($1::int[], $2::text[]) on conflict (id) do nothing returning id
       ) select id, pg_sleep($3) from made`,
      [items.map(({ id }) => id), items.map(({ text }) => text), seconds],
    );
  const stored = async (from: number, to: number) =>
    (await testing.sql<{ id: number }>('select id from things where id between $1 and $2 order by id', [from, to])).map(
      ({ id }) => id,
    );

  test('writes what hundreds ask for in a few commits, each answered when its row is there', async () => {
    let statements = 0;
    const batcher = new Batcher({
      name: 'things',
      run: async (items: readonly Row[]) => {
        statements++;
        const made = new Set((await insert(items)).map(({ id }) => id));
        return items.map(({ id }) => made.has(id));
      },
    });
    await Promise.all(
      Array.from({ length: 400 }, async (_, id) => {
        expect(await batcher.add({ id, text: 'good' })).toBe(true);
        expect(await stored(id, id)).toEqual([id]);
      }),
    );
    expect(statements).toBeLessThan(100);
    expect(await stored(0, 399)).toHaveLength(400);
  });

  test('refuses the row that PostgreSQL refuses, and writes the others', async () => {
    const batcher = new Batcher({
      name: 'things',
      run: async (items: readonly Row[]) => {
        await insert(items);
        return items.map(({ id }) => id);
      },
    });
    const bad = new Map([
      [1013, 'poison'],
      [1050, 'a zero \0 byte'],
    ]);
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, n) => batcher.add({ id: 1000 + n, text: bad.get(1000 + n) ?? 'good' })),
    );
    const refused = results.flatMap((result, n) => (result.status === 'rejected' ? [1000 + n] : []));
    expect(refused).toEqual([1013, 1050]);
    expect(await stored(1000, 1099)).toHaveLength(98);
  });

  test('survives a backend that is ended in the middle: nobody is told of a row that is not there', async () => {
    for (const repeatable of [false, true]) {
      const first = repeatable ? 3000 : 2000;
      let seconds = 20;
      const batcher = new Batcher({
        name: 'things',
        repeatable,
        run: async (items: readonly Row[]) => {
          const wait = seconds;
          seconds = 0;
          await insert(items, wait);
          return items.map(({ id }) => id);
        },
      });
      const adding = Array.from({ length: 20 }, (_, n) => batcher.add({ id: first + n, text: 'good' }));
      const results = Promise.allSettled(adding);
      for (let ended = 0; ended === 0;) {
        const rows = await testing.sql(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and state = 'active' and query like '%pg_sleep%'`,
        );
        ended = rows.length;
      }
      const told = (await results).flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(told).toHaveLength(repeatable ? 20 : 0);
      expect(await stored(first, first + 19)).toEqual(told);
      expect(await batcher.add({ id: first + 50, text: 'good' })).toBe(first + 50);
    }
  });

  test('tries again what lost a deadlock', async () => {
    await testing.sql(`insert into things (id, text) values (4001, ''), (4002, '')`);
    await testing.sql(`
      create function cross_update(first int, second int) returns void language plpgsql as $$ begin
        update things set n = n + 1 where id = first;
        perform pg_sleep(0.2);
        update things set n = n + 1 where id = second;
      end $$`);
    let statements = 0;
    const cross = (first: number, second: number) =>
      new Batcher({
        name: 'crossings',
        run: async (items: readonly number[]) => {
          statements++;
          await database.hot('cross', 'select cross_update($1, $2)', [first, second]);
          return items;
        },
      });
    await Promise.all([cross(4001, 4002).add(1), cross(4002, 4001).add(2)]);
    expect(statements).toBeGreaterThanOrEqual(2);
    expect(await testing.sql('select n from things where id in (4001, 4002)')).toEqual([{ n: 2 }, { n: 2 }]);
  });
});
