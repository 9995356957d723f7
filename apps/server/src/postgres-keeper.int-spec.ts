import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { PostgresKeeper } from './postgres-keeper.ts';

let folder: string;
let keeper: PostgresKeeper;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'muster-keeper-'));
  chmodSync(folder, 0o755);
  keeper = await PostgresKeeper.start({ folder });
});
afterAll(async () => {
  await keeper.stop();
  rmSync(folder, { recursive: true, force: true });
});

const ask = async (sql: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: keeper.url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
};
/** Null between the end of one and the start of the next. */
function postmaster(): number | null {
  try {
    return Number(readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
  } catch {
    return null;
  }
}

test('a built-in PostgreSQL that was killed comes back behind the same URL with what was committed', async () => {
  await ask('create table kept as select 42 as answer');
  const killed = postmaster();
  expect(killed).not.toBeNull();
  process.kill(killed!, 'SIGKILL');
  let rows: unknown[] = [];
  for (let tries = 0; tries < 300 && rows.length === 0; tries++) {
    await pause(100);
    const now = postmaster();
    rows = now === null || now === killed ? [] : await ask('select answer from kept').catch(() => []);
  }
  expect(rows).toEqual([{ answer: 42 }]);
  expect(postmaster()).not.toBe(killed);
});
