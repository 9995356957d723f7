import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type PostgresServer, startPostgres } from './index.ts';

describe('the built-in PostgreSQL', () => {
  let folder: string;
  let running: PostgresServer[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-postgres-'));
  });
  afterEach(async () => {
    for (const server of running) await server.stop();
    running = [];
    await rm(folder, { recursive: true, force: true });
  });
  const start = async (where = join(folder, 'postgres')) => {
    const server = await startPostgres({ folder: where, settings: { fsync: 'off' } });
    running.push(server);
    return server;
  };
  async function query<Row extends object>(url: string, text: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end();
    }
  }

  test('keeps its data from start to start, behind a password that only its owner can read', async () => {
    const first = await start();
    expect(new URL(first.url).hostname).toBe('127.0.0.1');
    await query(first.url, `create table kept as select 'here' as word`);
    expect((await stat(join(folder, 'postgres', 'password'))).mode & 0o777).toBe(0o600);
    await first.stop();
    const second = await start();
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'select word from kept')).toEqual([{ word: 'here' }]);
    await expect(query(second.url.replace(/:[^:@]+@/, ':wrong@'), 'select 1')).rejects.toThrow('password');
  });

  test('is found again when the server before was killed, alive or dead', async () => {
    const first = await start();
    const second = await start();
    expect(second).toMatchObject({ adopted: true, url: first.url });
    const pid = Number((await readFile(join(folder, 'postgres', 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
    process.kill(pid, 'SIGKILL');
    const third = await start();
    expect(await query(third.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('is not fooled by a pid file that names another process by now', async () => {
    await (await start()).stop();
    await writeFile(join(folder, 'postgres', 'data', 'postmaster.pid'), `${process.pid}\nx\n0\n5432\n`);
    const server = await start();
    expect(server.adopted).toBe(false);
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('starts after its first start was killed in the middle', async () => {
    await mkdir(join(folder, 'postgres', 'draft-killed'), { recursive: true });
    await writeFile(join(folder, 'postgres', 'draft-killed', 'PG_VERSION'), '18');
    await writeFile(join(folder, 'postgres', 'draft-killed.password'), 'secret');
    const server = await start();
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect((await readdir(join(folder, 'postgres'))).sort()).toEqual(['data', 'log', 'password']);
  });

  (userInfo().uid === 0 ? test : test.skip)('works for root below a folder that only root may enter', async () => {
    const closed = join(folder, 'closed');
    await mkdir(closed);
    await chmod(closed, 0o700);
    await (await start(join(closed, 'x', 'postgres'))).stop();
    const again = await start(join(closed, 'x', 'postgres'));
    expect(await query(again.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });
});
