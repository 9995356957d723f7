import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Migration } from '@mikro-orm/migrations';
import { defineEntity, p } from '@mikro-orm/postgresql';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '#test/database';
import { type Database, DatabaseUnusable, migrate, sqlState, violatedConstraint } from './index.ts';

const noteSchema = defineEntity({
  name: 'Note',
  tableName: 'notes',
  properties: { id: p.integer().primary(), text: p.string(), at: p.datetime() },
});
class Note extends noteSchema.class {}
noteSchema.setClass(Note);

describe('the database', () => {
  let testing: TestDatabase;
  let database: Database;
  const event = { type: 'note.kept', teamId: 'team_x', projectId: null, subject: null, data: {} };

  beforeAll(async () => {
    testing = await testDatabase();
    await testing.sql(
      'create table notes (id integer primary key, text text not null, at timestamptz not null default now(), n bigint, j jsonb)',
    );
    database = await testing.open([Note]);
  });
  afterAll(() => testing.drop());

  test('refuses a transaction what takes the lock of the log before its commit', async () => {
    const drafts = `array[('evt_early','note.kept','team_x',null,null,'low','{}',null)::event_draft]`;
    await expect(database.transaction((tx) => tx.sql(`select append_events(${drafts})`))).rejects.toThrow('append');
    expect(await database.sql(`select 1 from events where id = 'evt_early'`)).toEqual([]);
  });

  test('writes rows of SQL, entities and events in one transaction', async () => {
    const seen = await database.transaction(async (tx) => {
      const [row] = await tx.sql<{ n: number; j: unknown; at: Date }>(
        `insert into notes (id, text, n, j) values ($1, $2, 5000000000, $3) returning n, j, at`,
        [1, 'one', JSON.stringify({ a: [1] })],
      );
      tx.em.create(Note, { id: 2, text: 'two', at: new Date('2026-01-02T03:04:05.678Z') });
      tx.append(event, { ...event, type: 'note.kept_too' });
      return row;
    });
    expect(seen).toMatchObject({ n: 5_000_000_000, j: { a: [1] } });
    expect(seen?.at).toBeInstanceOf(Date);
    expect(await database.sql('select id, text from notes order by id')).toEqual([
      { id: 1, text: 'one' },
      { id: 2, text: 'two' },
    ]);
    const note = await database.em().findOneOrFail(Note, 2);
    expect(note.at).toEqual(new Date('2026-01-02T03:04:05.678Z'));
    expect(await database.sql('select type from events order by position')).toEqual([
      { type: 'note.kept' },
      { type: 'note.kept_too' },
    ]);
  });

  test('reads one moment with several statements, and writes nothing there', async () => {
    const seen = await database.snapshot(async (db) => {
      const before = await db.sql(`select count(*) from notes`);
      await testing.sql(`insert into notes (id, text) values (90, 'meanwhile')`);
      return [before, await db.sql(`select count(*) from notes`)];
    });
    expect(seen[1]).toEqual(seen[0]);
    expect(await database.sql('select text from notes where id = 90')).toEqual([{ text: 'meanwhile' }]);
    await expect(database.snapshot((db) => db.sql('delete from notes'))).rejects.toMatchObject({ code: '25006' });
  });

  test('leaves nothing behind when the work throws', async () => {
    const hints: string[] = [];
    const off = database.onAppended(() => hints.push('appended'));
    const failed = database.transaction(async (tx) => {
      await tx.sql('insert into notes (id, text) values (10, $1)', ['gone']);
      tx.append(event);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    off();
    expect(hints).toEqual([]);
    expect(await database.sql('select id from notes where id = 10')).toEqual([]);
  });

  test('names the constraint that refused a write, from SQL and from an entity', async () => {
    const bySql = await database
      .transaction((tx) => tx.sql(`insert into notes (id, text) values (1, 'again')`))
      .catch((error: unknown) => error);
    const byEntity = await database
      .transaction(async (tx) => void tx.em.create(Note, { id: 1, text: 'again', at: new Date() }))
      .catch((error: unknown) => error);
    for (const error of [bySql, byEntity]) {
      expect(violatedConstraint(error)).toBe('notes_pkey');
      expect(sqlState(error)).toBe('23505');
    }
  });

  test('repeats a transaction that lost a deadlock', async () => {
    await database.sql(`insert into notes (id, text) values (21, ''), (22, '')`);
    let rounds = 0;
    // Each holds its first row before either asks for the other's, however busy the machine is.
    let bothHold = (): void => {};
    const held = new Promise<void>((resolve) => (bothHold = resolve));
    let holders = 0;
    const cross = (first: number, second: number) =>
      database.transaction(async (tx) => {
        rounds++;
        await tx.sql('update notes set text = text || $2 where id = $1', [first, 'x']);
        if (++holders === 2) bothHold();
        await held;
        await tx.sql('update notes set text = text || $2 where id = $1', [second, 'x']);
      });
    await Promise.all([cross(21, 22), cross(22, 21)]);
    expect(rounds).toBe(3);
    expect(await database.sql('select text from notes where id in (21, 22)')).toEqual([{ text: 'xx' }, { text: 'xx' }]);
  });

  test('loses no place in its pool with a connection that ends in a transaction', async () => {
    const places = database.pool.options.max ?? 10;
    for (let lost = 0; lost <= places; lost++) {
      const when = (['before', 'after'] as const)[lost % 2];
      const cut = database.transaction(async (tx) => {
        const [row] = await tx.sql<{ pid: number }>('select pg_backend_pid() as pid');
        tx.append(event);
        const ended = testing.sql('select pg_terminate_backend($1, 5000)', [row?.pid]);
        if (when === 'before') await ended;
        await tx.sql('select pg_sleep(5)');
      });
      await expect(cut).rejects.toThrow(/terminat|not queryable/);
    }
    expect(await database.transaction((tx) => tx.sql('select 1 as one'))).toEqual([{ one: 1 }]);
    expect(await database.sql('select 1 as one')).toEqual([{ one: 1 }]);
    expect(database.pool.totalCount).toBeLessThanOrEqual(places);
  });

  test("lets a test move the leases' clock", async () => {
    const [moved] = await database.transaction(async (tx) => {
      await tx.sql(`select set_config('muster.now_offset', '40 seconds', true)`);
      return tx.sql<{ seconds: number }>('select extract(epoch from muster_now() - clock_timestamp()) as seconds');
    });
    expect(moved?.seconds).toBeCloseTo(40, 1);
  });

  test('fails a migration that loses its connection, and does not wait for it for ever', async () => {
    class CutOff extends Migration {
      override up(): void {
        this.addSql('select pg_terminate_backend(pg_backend_pid())');
      }
    }
    await expect(
      migrate({ url: testing.url, migrations: [{ name: 'Migration99990101_cut_off', class: CutOff }] }),
    ).rejects.toThrow(/terminat/);
  });

  test('migrates once nobody uses the table any more, and meanwhile keeps nobody else waiting for long', async () => {
    class Widened extends Migration {
      override up(): void {
        this.addSql('alter table notes add column w int');
      }
    }
    const widened = {
      url: testing.url,
      migrations: [{ name: 'Migration99990102_widened', class: Widened }],
    };
    const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%column w%'`;
    const until = async (isWaiting: boolean): Promise<void> => {
      for (let tries = 0; tries < 500 && (await database.sql(waiting)).length > 0 !== isWaiting; tries++)
        await new Promise((resolve) => setTimeout(resolve, 20));
      expect((await database.sql(waiting)).length > 0).toBe(isWaiting);
    };
    const report = new pg.Client(testing.url);
    await report.connect();
    try {
      await report.query('begin; select count(*) from notes');
      await expect(migrate({ ...widened, tries: 1 })).rejects.toThrow(/somebody else .*pg_stat_activity/);
      const told: string[] = [];
      const migrated = migrate({ ...widened, tell: (words) => told.push(words) });
      migrated.catch(() => {});
      await until(true);
      // It gives way by itself, to whoever only wants to read.
      expect(await database.sql('select 1 from notes where id = 0')).toEqual([]);
      await until(false);
      await report.query('commit');
      expect(await migrated).toEqual(['Migration99990102_widened']);
      expect(told).toHaveLength(1);
    } finally {
      await report.end();
    }
  }, 60_000);

  test('says in one sentence, without the password, which database cannot be used and why', async () => {
    const absent = new URL(testing.url);
    absent.pathname = '/not_there';
    const refused = new URL('postgresql://someone:secret-word@127.0.0.1:1/x');
    for (const [url, why] of [
      [absent, /\/not_there cannot be used: database "not_there" does not exist\. See .* DATABASE_URL/],
      [refused, /^The database someone@127\.0\.0\.1:1\/x cannot be used: connect ECONNREFUSED/],
    ] as const) {
      const failed = migrate({ url: url.href, migrations: [] });
      await expect(failed).rejects.toThrow(DatabaseUnusable);
      await expect(failed).rejects.toThrow(why);
      await expect(failed).rejects.not.toThrow(url.password);
    }
  });
});
