import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '#test/database';
import { loadConfig } from '#platform/config';
import { type Database, migrate } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { migrations } from '../../../../migrations/index.ts';
import { EventLog } from './event-log.ts';
import { EventRetention } from './event-retention.ts';

const event = (n: number) => ({ type: 'note.kept', teamId: 'team_x', projectId: null, subject: null, data: { n } });

describe('the partitions of the event log', () => {
  let testing: TestDatabase;
  let database: Database;
  let log: EventLog;
  const retention = (kept: string) => {
    const config = loadConfig({ MUSTER_EVENTS_RETENTION: kept });
    return new EventRetention(config, database, new Rounds(config, new SchedulerRegistry()));
  };
  const append = (from: number, to: number) =>
    database.transaction(async (tx) => {
      for (let n = from; n <= to; n++) tx.append(event(n));
    });
  const partitions = async () =>
    (await testing.sql<{ name: string }>('select name from event_partitions order by first')).map(({ name }) => name);

  /** Partitions of ten events each, the first included. */
  beforeAll(async () => {
    Logger.overrideLogger(false);
    testing = await testDatabase();
    database = await testing.open();
    log = new EventLog(database);
    await testing.sql(`
      create or replace function event_partition_size() returns bigint language sql immutable as 'select 10::bigint'`);
    // As it is where nobody tests: partitions that are made later have to fit it.
    await testing.sql(`
      alter table events drop constraint events_priority_check,
        add constraint events_priority_check check (priority in ('critical', 'high', 'normal', 'low')) not enforced`);
    await testing.sql('alter table events detach partition events_1');
    await testing.sql('alter table events attach partition events_1 for values from (1) to (11)');
    await testing.sql('update event_partitions set last = 10');
  });
  afterAll(() => testing.drop());

  test('are there before they are needed, for any batch, while somebody reads the log', async () => {
    const reader = new pg.Client(testing.url);
    await reader.connect();
    await reader.query('begin isolation level repeatable read; select count(*) from events');
    await append(1, 7);
    expect(await partitions()).toEqual(['events_1']);
    await append(8, 9);
    expect(await partitions()).toEqual(['events_1', 'events_11']);
    await append(10, 45);
    await append(46, 46);
    await reader.query('rollback');
    await reader.end();
    expect(await partitions()).toEqual(['events_1', 'events_11', 'events_21', 'events_31', 'events_41']);
    const { events: read } = await log.read({ after: 0, limit: 100 });
    expect(read.map(({ position, data }) => [position, data['n']])).toEqual(
      Array.from({ length: 46 }, (_, n) => [n + 1, n + 1]),
    );
  });

  test('go from the oldest end when they are old enough, nothing of them is owed, and nobody holds them', async () => {
    await testing.sql(`update events set time = time - interval '2 days' where position <= 30`);
    expect(await retention('forever').dropOld()).toEqual([]);
    expect(await retention('3d').dropOld()).toEqual([]);

    await testing.sql(`insert into event_reactions (name, types) values ('slow', '{}')`);
    await testing.sql(`insert into event_deliveries (reaction, position, rank, dead_at) values ('slow', 15, 3, now())`);
    const reader = new pg.Client(testing.url);
    await reader.connect();
    await reader.query('begin; select count(*) from events');
    expect(await retention('1d').dropOld()).toEqual([]);
    await append(47, 47);
    await reader.query('commit');
    await reader.end();

    expect(await retention('1d').dropOld()).toEqual(['events_1']);
    expect((await log.read({ after: 0, limit: 1 })).oldest).toBe(11);
    await testing.sql('delete from event_deliveries');
    expect(await retention('1d').dropOld()).toEqual(['events_11', 'events_21']);
    expect(await partitions()).toEqual(['events_31', 'events_41']);
    expect((await log.read({ after: 0, limit: 1 })).events[0]?.position).toBe(31);
  });

  test('never go so far that the log is empty: positions go on', async () => {
    await append(48, 50);
    expect(await log.head()).toBe(50);
    expect(await retention('0s').dropOld()).toEqual(['events_31']);
    expect(await log.head()).toBe(50);
    await append(51, 51);
    expect(await log.head()).toBe(51);
    expect(await retention('0s').dropOld()).toEqual(['events_41']);
    expect((await log.read({ after: 0, limit: 5 })).events.map(({ position }) => position)).toEqual([51]);
  });
});

describe('a log from before positions were given at commit', () => {
  let testing: TestDatabase;
  const url = () => {
    const at = new URL(testing.url);
    at.pathname += '_old';
    return at.href;
  };
  beforeAll(async () => {
    testing = await testDatabase();
    await testing.sql(`create database ${new URL(url()).pathname.slice(1)}`);
  });
  afterAll(async () => {
    await testing.sql(`drop database ${new URL(url()).pathname.slice(1)} with (force)`);
    await testing.drop();
  });

  test('keeps its events, and what waited in the inbox comes after them in its order', async () => {
    const before = migrations.findIndex(({ name }) => name.endsWith('_eventlog'));
    await migrate({ url: url(), migrations: migrations.slice(0, before) });
    const client = new pg.Client(url());
    await client.connect();
    await client.query(`
      insert into events (position, id, type, team_id, time, priority, data)
        values (1, 'evt_1', 'a.b', 'team_x', '2026-01-01', 'low', '{}'), (2, 'evt_2', 'a.b', 'team_x', '2026-01-02', 'low', '{}');
      update event_log_head set position = 2;
      insert into event_reactions (name, types) values ('late', '{c.d}');
      insert into event_deliveries (reaction, position, rank) values ('late', 2, 1);
      insert into event_inbox (id, type, team_id, time, priority, data)
        values ('evt_3', 'c.d', 'team_x', '2026-01-03', 'high', '{"n": 3}'), ('evt_4', 'a.b', 'team_x', '2026-01-04', 'low', '{}')`);
    await migrate({ url: url(), migrations });
    const { rows } = await client.query<{ id: string; position: string; day: string; owed: boolean }>(
      `select id, position, to_char(time, 'DD') as day, exists (select from event_deliveries d where d.position = e.position) as owed
       from events e order by position`,
    );
    expect(rows).toEqual([
      { id: 'evt_1', position: '1', day: '01', owed: false },
      { id: 'evt_2', position: '2', day: '02', owed: true },
      { id: 'evt_3', position: '3', day: '03', owed: true },
      { id: 'evt_4', position: '4', day: '04', owed: false },
    ]);
    await client.query(`select append_events(array[('evt_5','a.b','team_x',null,null,'low','{}',null)::event_draft])`);
    expect((await client.query('select id from events where position = 5')).rows).toEqual([{ id: 'evt_5' }]);
    await client.end();
  });
});
