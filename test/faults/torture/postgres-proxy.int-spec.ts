import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { testDatabase, type TestDatabase } from '#test/database';
import { PostgresProxy } from './postgres-proxy.ts';
import { Random } from './random.ts';

let test: TestDatabase;
let proxy: PostgresProxy;
let url: string;
beforeAll(async () => {
  test = await testDatabase();
  await test.sql('create table kept (n integer)');
  proxy = new PostgresProxy(() => Number(new URL(test.url).port), new Random(1));
  const through = new URL(test.url);
  through.port = String(await proxy.listen());
  url = through.href;
});
afterAll(async () => {
  await proxy.close();
  await test.drop();
});
const connected = async (): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
};
const kept = async (): Promise<number[]> =>
  (await test.sql<{ n: number }>('select n from kept order by n')).map(({ n }) => n);

it('carries what it is given while nothing is to be lost', async () => {
  proxy.rate = 0;
  const client = await connected();
  await client.query('insert into kept values ($1)', [1]);
  await client.query({ name: 'again', text: 'insert into kept values ($1)', values: [2] });
  await client.query({ name: 'again', text: 'insert into kept values ($1)', values: [3] });
  expect((await client.query('select n from kept')).rows).toHaveLength(3);
  await client.end();
  expect(proxy.commits).toBe(3);
});

it('loses the answer to a commit that has happened, and only to commits', async () => {
  proxy.rate = 1;
  const client = await connected();
  await client.query('begin');
  await client.query('insert into kept values ($1)', [4]);
  await expect(client.query('commit')).rejects.toThrow();
  expect(await kept()).toEqual([1, 2, 3, 4]);

  const other = await connected();
  await expect(other.query('insert into kept values (5)')).rejects.toThrow();
  expect(await kept()).toEqual([1, 2, 3, 4, 5]);
  expect(proxy.cut).toBe(2);
});
