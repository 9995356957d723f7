import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { CloudEvent } from '@muster/contracts';
import { Logger } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import pg from 'pg';
import { SystemIds } from '#kernel';
import { type TestDatabase, testDatabase } from '#test/database';
import { loadConfig } from '#platform/config';
import { Database, openOrm } from '#platform/database';
import { PostgresCarrier, Signals } from '#platform/redis';
import { EventLog } from './event-log.ts';
import { EventRelay } from './event-relay.ts';
import type { ReactionOptions } from './reaction.ts';
import { ReactionRunner } from './reaction-runner.ts';

const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
async function until(come: () => boolean | Promise<boolean>, ms = 5000): Promise<void> {
  for (const end = Date.now() + ms; !(await come()); await pause(5)) {
    if (Date.now() > end) throw new Error('It did not come true in time.');
  }
}

describe('the event log', () => {
  let testing: TestDatabase;
  let one: Database;
  let two: Database;
  let cleanup: (() => Promise<void>)[] = [];
  const event = (type: string, more: object = {}) => ({
    type,
    teamId: 'team_x',
    projectId: null,
    subject: null,
    data: {},
    ...more,
  });

  beforeAll(async () => {
    Logger.overrideLogger(false);
    testing = await testDatabase();
    one = await testing.open();
    two = await testing.open();
  });
  afterEach(async () => {
    for (const stop of cleanup.reverse()) await stop();
    cleanup = [];
    await testing.sql('delete from event_reactions');
  });
  afterAll(() => testing.drop());

  /** The look each second would find it as well. */
  function withoutLookEachSecond(): void {
    jest.useFakeTimers({
      doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'setTimeout', 'clearTimeout', 'performance', 'Date'],
    });
    cleanup.push(async () => void jest.useRealTimers());
  }
  /** What one server process has of the log. */
  const process = (database: Database): EventLog => replica(database).log;
  function replica(database: Database) {
    const log = new EventLog(database);
    const signals = new Signals(new PostgresCarrier(database));
    const relay = new EventRelay(database, log, signals);
    signals.onApplicationBootstrap();
    relay.onApplicationBootstrap();
    cleanup.push(async () => {
      await relay.onApplicationShutdown();
      await signals.onApplicationShutdown();
    });
    return { log, signals };
  }
  async function worker(
    database: Database,
    log: EventLog,
    name: string,
    types: string[],
    react: (event: CloudEvent) => Promise<void>,
    where: ReactionOptions['where'] = {},
  ) {
    const runner = new ReactionRunner(loadConfig({}), database, log, null as unknown as DiscoveryService);
    await runner.start([{ options: { name, types, where }, reacts: { react } }]);
    let stopped: Promise<void> | null = null;
    const stop = () => (stopped ??= runner.beforeApplicationShutdown());
    cleanup.push(stop);
    return { stop };
  }

  test('misses nothing and never goes back, under writers whose commits are late', async () => {
    const log = new EventLog(two);
    const start = await log.head();
    const seen: number[] = [];
    let cursor = start;
    let done = false;
    const reading = (async () => {
      while (!done) {
        const { events } = await log.read({ after: cursor, limit: 7 });
        for (const { position, data } of events) {
          expect(position).toBe(cursor + 1);
          cursor = position;
          seen.push(data['n'] as number);
        }
        if (events.length === 0) await pause(2);
      }
    })();
    await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        (n % 2 === 0 ? one : two).transaction(async (tx) => {
          tx.append(event('late.committed', { data: { n } }));
          await tx.sql('select pg_sleep($1)', [Math.random() / 25]);
          tx.append(event('late.committed', { data: { n: 1000 + n } }));
        }),
      ),
    );
    await until(() => seen.length >= 120).finally(() => (done = true));
    await reading;
    expect([...seen].sort((x, y) => x - y)).toEqual([
      ...Array(60).keys(),
      ...[...Array(60).keys()].map((n) => 1000 + n),
    ]);
    expect(await log.head()).toBe(start + 120);
  });

  test('gives positions in the order of commits, and a rollback leaves no gap', async () => {
    const log = new EventLog(one);
    const start = await log.head();
    const rolledBack = new pg.Client(testing.url);
    await rolledBack.connect();
    await rolledBack.query(
      `begin; select append_events(array[('evt_gone','a.b','team_x',null,null,'low','{}',null)::event_draft])`,
    );
    const waiting = one.transaction(async (tx) => tx.append(event('after.rollback')));
    await rolledBack.query('rollback');
    await rolledBack.end();
    await waiting;
    await one.transaction(async (tx) => tx.append(event('after.that'), event('and.that')));
    expect((await log.read({ after: start, limit: 10 })).events.map(({ type, position }) => [type, position])).toEqual([
      ['after.rollback', start + 1],
      ['after.that', start + 2],
      ['and.that', start + 3],
    ]);
  });

  test('is held up by no writer that stops in the middle of its transaction', async () => {
    const target = new URL(testing.url);
    let stalled: Socket | null = null;
    // Lets nothing more through from the client once it has said what it appends, as if its process had been stopped.
    const proxy = createServer((client) => {
      const server = connect(Number(target.port), target.hostname);
      client.on('data', (bytes) => {
        server.write(bytes);
        if (!bytes.includes('append_events')) return;
        client.pause();
        stalled = client;
      });
      server.pipe(client);
      for (const end of [client, server])
        end.on('error', () => {}).on('close', () => [client, server].forEach((one) => one.destroy()));
    });
    await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
    cleanup.push(() => new Promise((closed) => proxy.close(() => closed())));
    const through = new URL(target);
    through.host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const orm = await openOrm({ url: through.href, entities: [], poolSize: 2 });
    cleanup.push(() => orm.close(true));
    const stopped = new Database(orm, await orm.em.getConnection().getNativeClient(), new SystemIds());

    const log = new EventLog(two);
    const start = await log.head();
    const late = stopped.transaction(async (tx) => tx.append(event('by.the_stopped')));
    await until(() => stalled !== null);
    await two.transaction(async (tx) => tx.append(event('by.another')));
    // Whichever came first: what was sent before the stop is committed, and nobody waits for the rest.
    const told = async () => (await log.read({ after: start, limit: 5 })).events.map(({ type }) => type).sort();
    await until(async () => (await told()).length === 2);
    expect(await told()).toEqual(['by.another', 'by.the_stopped']);
    stalled!.resume();
    await late;
  });

  test('takes the rows and events of a hot verb in one statement', async () => {
    const log = process(one);
    await testing.sql('create table things (id text primary key)');
    const start = await log.head();
    let told = 0;
    log.onAdvance((here) => (told += here ? 1 : 0));
    const text = `
      with made as (insert into things select unnest($1::text[]) on conflict do nothing returning id)
      select append_events(array(
        select (id || '_e', 'thing.made', 'team_x', null, id, 'normal', '{}', null)::event_draft from made order by id
      )) as head`;
    for (const [ids, head] of [
      [['b', 'a'], start + 2],
      [['a', 'b'], null],
      [['c', 'a'], start + 3],
    ] as const) {
      const [row] = await one.hot<{ head: number | null }>('make things', text, [ids]);
      expect(row?.head).toBe(head);
      one.appended(row?.head ?? null);
    }
    expect(told).toBe(2);
    expect((await log.read({ after: start, limit: 9 })).events.map(({ subject }) => subject)).toEqual(['a', 'b', 'c']);
  });

  test('owes reactions the same whether a statement says which types it appends or not', async () => {
    const wishes: [string, string[], object][] = [
      ['all', ['*'], {}],
      ['all but the room', ['*', '!task.*'], {}],
      ['all but the room, and one of it', ['*', '!task.*', 'task.failed'], {}],
      ['the room', ['task.*'], {}],
      ['one', ['task.succeeded'], {}],
      ['another room', ['landing.*', 'landing.landed'], {}],
      ['one field', ['task.succeeded', 'task.failed'], { capability: ['a.b', 'a.c'] }],
      ['two fields', ['task.*'], { capability: ['a.b'], reason: ['x'] }],
      ['a field that no event has', ['task.*'], { nothing: ['x'] }],
    ];
    for (const [name, types, where] of wishes)
      await testing.sql('insert into event_reactions (name, types, conditions) values ($1, $2, $3)', [
        name,
        types,
        JSON.stringify(where),
      ]);
    const data = [
      '{}',
      '{"capability":"a.b"}',
      '{"capability":"a.d","reason":"x"}',
      '{"capability":"a.b","reason":"y"}',
    ];
    const drafts = ['task.succeeded', 'task.failed', 'task.succeeded', 'task.waiting'].flatMap((type, n) =>
      data.map((own, m) => `('evt_${n}_${m}','${type}','team_x',null,'${type} ${own}','high','${own}',null)`),
    );
    const owed: unknown[] = [];
    for (const append of [
      'append_events_owing(drafts)',
      "append_events_of(drafts, '{task.succeeded,task.failed,task.waiting}')",
    ]) {
      const [row] = await testing.sql<{ head: number; owed: boolean }>(
        `select a.head::int, a.owed from (select array[${drafts.join(',')}]::event_draft[] as drafts) d, ${append} a`,
      );
      expect(row?.owed).toBe(true);
      owed.push(
        await testing.sql(
          `select d.reaction, d.rank, e.subject, $1::int - d.position::int as place from event_deliveries d join events e using (position)
           where d.position > $1::int - ${drafts.length} order by d.reaction, d.position`,
          [row?.head],
        ),
      );
      await testing.sql('delete from event_deliveries');
    }
    expect(owed[0]).not.toEqual([]);
    expect(owed[1]).toEqual(owed[0]);
    await testing.sql("delete from event_reactions where name <> 'another room'");
    const nobody = await testing.sql(
      `select a.owed from append_events_of(array[${drafts.join(',')}]::event_draft[], '{task.succeeded,task.failed,task.waiting}') a`,
    );
    expect(nobody).toEqual([{ owed: false }]);
  });

  test('tells readers of every process that there is more, those of the writer before its caller is answered', async () => {
    const logs = [process(one), process(two)];
    const told: string[] = [];
    logs.forEach((log, n) => log.onAdvance((here) => told.push(`${n} ${here ? 'here' : 'elsewhere'}`)));
    for (const [n, writer] of [one, two].entries()) {
      told.length = 0;
      await writer.transaction(async (tx) => tx.append(event('note.kept')));
      expect(told).toContain(`${n} here`);
      await until(() => told.includes(`${1 - n} elsewhere`));
    }
  });

  test('wakes readers once more for all that others tell of within a moment, and loses no word of what is owed', async () => {
    withoutLookEachSecond();
    const { log, signals } = replica(two);
    let isOpen = false;
    const off = log.onOwed(() => (isOpen = true));
    await until(() => isOpen);
    off();
    await pause(50);
    const told: string[] = [];
    log.onAdvance(() => told.push('new'));
    log.onOwed(() => told.push('owed'));
    for (let word = 0; word < 200; word += 1) signals.publish('events.head', word === 150 ? 'owed' : '');
    await until(() => told.includes('owed'));
    expect(told).toEqual(['new', 'owed', 'new']);
  });

  test('has another process look at what is owed only where something is', async () => {
    withoutLookEachSecond();
    const [teller, log] = [process(one), process(two)];
    const told: string[] = [];
    log.onAdvance(() => told.push('new'));
    log.onOwed(() => told.push('owed'));
    // Both look at what they may have missed when the way between them is open.
    const isOpen = [false, false];
    [teller, log].forEach((each, n) => each.onOwed(() => (isOpen[n] = true)));
    await until(() => isOpen.every(Boolean));
    for (const owed of [false, true]) {
      told.length = 0;
      const [row] = await testing.sql<{ head: number }>(
        `select append_events(array[('evt_${owed}','note.kept','team_x',null,null,'low','{}',null)::event_draft]) as head`,
      );
      one.appended(row?.head ?? null, owed);
      await until(() => told.includes('new'));
      expect(told).toEqual(owed ? ['owed', 'new'] : ['new']);
    }
  });

  test('finds what nobody told', async () => {
    const log = process(one);
    let isOpen = false;
    log.onOwed(() => (isOpen = true));
    await until(() => isOpen);
    let told = false;
    log.onAdvance(() => (told = true));
    await testing.sql(
      `select append_events(array[('evt_n','note.kept','team_x',null,null,'low','{}',null)::event_draft])`,
    );
    await until(() => told);
  });

  test('reads by team, project and type', async () => {
    const log = new EventLog(one);
    const after = await log.head();
    await one.transaction(async (tx) =>
      tx.append(
        event('task.created', { projectId: 'proj_1' }),
        event('task.started', { projectId: 'proj_2', priority: 'high' }),
        event('tasks.other'),
        event('landing.landed', { teamId: 'team_y', subject: 'land_1' }),
      ),
    );
    const types = async (query: object) =>
      (await log.read({ after, limit: 10, ...query })).events.map(({ type }) => type);
    expect(await types({})).toEqual(['task.created', 'task.started', 'tasks.other', 'landing.landed']);
    expect(await types({ types: ['task.*'] })).toEqual(['task.created', 'task.started']);
    expect(await types({ types: ['landing.landed', 'tasks.other'] })).toEqual(['tasks.other', 'landing.landed']);
    expect(await types({ teamId: 'team_y' })).toEqual(['landing.landed']);
    expect(await types({ projectId: 'proj_2' })).toEqual(['task.started']);
    expect(await types({ window: 2 })).toEqual(['task.created', 'task.started']);
    expect((await log.read({ after, limit: 1 })).events[0]).toMatchObject({
      specversion: '1.0',
      source: '/projects/proj_1',
      position: after + 1,
      priority: 'normal',
      teamid: 'team_x',
      projectid: 'proj_1',
      subject: null,
    });
  });

  test('a reaction that throws is tried again while the others go on, the critical ones first', async () => {
    const a = process(one);
    const heard: string[] = [];
    let failures = 2;
    await worker(one, a, 'react-in-test', ['thing.*'], async ({ data }) => {
      const n = data['n'] as string;
      if (n === 'bad' && failures-- > 0) throw new Error('not yet');
      heard.push(n);
    });
    await one.transaction(async (tx) =>
      tx.append(
        event('other.happened', { data: { n: 'foreign' } }),
        event('thing.happened', { data: { n: 'bad' } }),
        event('thing.happened', { data: { n: 'low' }, priority: 'low' }),
        event('thing.happened', { data: { n: 'critical' }, priority: 'critical' }),
        event('thing.happened', { data: { n: 'normal' } }),
      ),
    );
    await until(() => heard.length === 4);
    expect(heard).toEqual(['critical', 'normal', 'low', 'bad']);
    await until(async () => (await testing.sql('select 1 from event_deliveries')).length === 0);
  });

  test('owes a reaction only the events whose data it asked for, and those that do not say', async () => {
    const a = process(one);
    const heard: unknown[] = [];
    await worker(
      one,
      a,
      'asks-for-some',
      ['work.*', '!work.odd', '*', '!other.*'],
      async ({ data }) => void heard.push(data['n']),
      {
        kind: ['wanted', 7],
        size: [1],
      },
    );
    const datas = [
      { n: 1, kind: 'wanted', size: 1 },
      { n: 2, kind: 'unwanted', size: 1 },
      { n: 3, kind: 7 },
      { n: 4, kind: 'wanted', size: 2 },
      { n: 5 },
      { n: 6, kind: null },
    ];
    await one.transaction(async (tx) =>
      tx.append(...datas.map((data) => event('work.done', { data })), event('other.done')),
    );
    const owed = await testing.sql('select 1 from event_deliveries');
    expect(owed.length).toBeLessThanOrEqual(3);
    await until(() => heard.length === 3);
    await until(async () => (await testing.sql('select 1 from event_deliveries')).length === 0);
    expect(heard).toEqual([1, 3, 5]);
  });

  test('is set aside with its error after ten failures', async () => {
    const a = process(one);
    await worker(one, a, 'always-fails', ['doomed.thing'], () => Promise.reject(new Error('cannot')));
    await one.transaction(async (tx) => tx.append(event('doomed.thing')));
    await until(async () => {
      await testing.sql(`update event_deliveries set due_at = clock_timestamp() where dead_at is null`);
      await one.transaction(async (tx) => tx.append(event('some.knock')));
      await pause(20);
      return (await testing.sql('select 1 from event_deliveries where dead_at is not null')).length === 1;
    });
    const [dead] = await testing.sql<{ attempts: number; error: string }>(
      'select attempts, error from event_deliveries',
    );
    expect(dead?.attempts).toBe(10);
    expect(dead?.error).toContain('cannot');
  });

  test('one worker at a time runs a reaction; what happened while none did is caught up', async () => {
    const a = process(one);
    const b = process(two);
    const heard: string[] = [];
    let inside = 0;
    const react = (who: string) => async (happened: CloudEvent) => {
      expect(++inside).toBe(1);
      await pause(1);
      heard.push(`${who}${happened.data['n'] as number}`);
      inside--;
    };
    const send = (n: number) => one.transaction(async (tx) => tx.append(event('count.up', { data: { n } })));
    const first = await worker(one, a, 'counts', ['count.up'], react('a'));
    const second = await worker(two, b, 'counts', ['count.up'], react('b'));
    for (let n = 0; n < 30; n++) await send(n);
    await until(() => heard.length === 30);
    expect(new Set(heard.map((word) => word[0])).size).toBe(1);
    await first.stop();
    await second.stop();
    for (let n = 30; n < 40; n++) await send(n);
    await worker(two, b, 'counts', ['count.up'], react('c'));
    await until(() => heard.length === 40);
    expect(heard.slice(30)).toEqual([...Array(10).keys()].map((n) => `c${n + 30}`));
  });
});
