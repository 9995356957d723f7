import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { CloudEvent } from '@muster/contracts';
import { Logger } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { type TestDatabase, testDatabase } from '#test/database';
import { loadConfig } from '#platform/config';
import type { Database } from '#platform/database';
import { EventLog } from './event-log.ts';
import { ReactionRunner } from './reaction-runner.ts';
import { Sequencer } from './sequencer.ts';

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

  /** What one server process has of the log. */
  function process(database: Database) {
    const log = new EventLog(database);
    const sequencer = new Sequencer(database, log);
    sequencer.start();
    let stopped: Promise<void> | null = null;
    const stop = () => (stopped ??= sequencer.onApplicationShutdown());
    cleanup.push(stop);
    return { log, sequencer, stop };
  }
  async function worker(
    database: Database,
    log: EventLog,
    name: string,
    types: string[],
    react: (event: CloudEvent) => Promise<void>,
  ) {
    const runner = new ReactionRunner(loadConfig({}), database, log, null as unknown as DiscoveryService);
    await runner.start([{ options: { name, types }, reacts: { react } }]);
    let stopped: Promise<void> | null = null;
    const stop = () => (stopped ??= runner.beforeApplicationShutdown());
    cleanup.push(stop);
    return { stop };
  }

  test('misses nothing and never goes back, under writers whose commits are late', async () => {
    const a = process(one);
    const b = process(two);
    await until(() => a.sequencer.elected || b.sequencer.elected);
    expect(a.sequencer.elected && b.sequencer.elected).toBe(false);

    const start = await b.log.head();
    const seen: number[] = [];
    let cursor = start;
    let done = false;
    const reading = (async () => {
      while (!done) {
        const events = await b.log.read({ after: cursor, limit: 7 });
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
          // The inbox's own order is taken before the pause, the commit comes after it.
          await tx.sql(
            `insert into event_inbox (id, type, team_id, priority, data) values ($1, 'late.written', 'team_x', 'normal', $2)`,
            [`evt_late_${n}`, JSON.stringify({ n })],
          );
          await pause(Math.random() * 40);
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
    expect(await b.log.head()).toBe(start + 120);
  });

  test('tells readers of every process how far they may read', async () => {
    const a = process(one);
    const b = process(two);
    await until(() => a.sequencer.elected || b.sequencer.elected);
    const told = [0, 0];
    [a, b].forEach(({ log }, n) => log.onAdvance((position) => (told[n] = position)));
    for (const writer of [one, two]) {
      const before = await a.log.head();
      await writer.transaction(async (tx) => tx.append(event('note.kept')));
      await until(() => told.every((position) => position === before + 1));
    }
  });

  test('another process takes over when the elected one is gone', async () => {
    const a = process(one);
    await until(() => a.sequencer.elected);
    const b = process(two);
    await pause(50);
    expect(b.sequencer.elected).toBe(false);
    await a.stop();
    const before = await b.log.head();
    await two.transaction(async (tx) => tx.append(event('note.kept')));
    await until(async () => (await b.log.head()) === before + 1);
    expect(b.sequencer.elected).toBe(true);
  });

  test('survives PostgreSQL ending its connections', async () => {
    const a = process(one);
    await until(() => a.sequencer.elected);
    await testing.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'muster event log'`,
    );
    const before = await a.log.head();
    await one.transaction(async (tx) => tx.append(event('note.kept')));
    await until(async () => (await a.log.head()) === before + 1);
  });

  test('reads by team, project and type', async () => {
    const a = process(one);
    const after = await a.log.head();
    await one.transaction(async (tx) =>
      tx.append(
        event('task.created', { projectId: 'proj_1' }),
        event('task.started', { projectId: 'proj_2', priority: 'high' }),
        event('tasks.other'),
        event('landing.landed', { teamId: 'team_y', subject: 'land_1' }),
      ),
    );
    await until(async () => (await a.log.head()) === after + 4);
    const types = async (query: object) => (await a.log.read({ after, limit: 10, ...query })).map(({ type }) => type);
    expect(await types({})).toEqual(['task.created', 'task.started', 'tasks.other', 'landing.landed']);
    expect(await types({ types: ['task.*'] })).toEqual(['task.created', 'task.started']);
    expect(await types({ types: ['landing.landed', 'tasks.other'] })).toEqual(['tasks.other', 'landing.landed']);
    expect(await types({ teamId: 'team_y' })).toEqual(['landing.landed']);
    expect(await types({ projectId: 'proj_2' })).toEqual(['task.started']);
    expect((await a.log.read({ after, limit: 1 }))[0]).toMatchObject({
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
    await worker(one, a.log, 'react-in-test', ['thing.*'], async ({ data }) => {
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

  test('is set aside with its error after ten failures', async () => {
    const a = process(one);
    await worker(one, a.log, 'always-fails', ['doomed.thing'], () => Promise.reject(new Error('cannot')));
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
    const first = await worker(one, a.log, 'counts', ['count.up'], react('a'));
    const second = await worker(two, b.log, 'counts', ['count.up'], react('b'));
    for (let n = 0; n < 30; n++) await send(n);
    await until(() => heard.length === 30);
    expect(new Set(heard.map((word) => word[0])).size).toBe(1);
    await first.stop();
    await second.stop();
    for (let n = 30; n < 40; n++) await send(n);
    await worker(two, b.log, 'counts', ['count.up'], react('c'));
    await until(() => heard.length === 40);
    expect(heard.slice(30)).toEqual([...Array(10).keys()].map((n) => `c${n + 30}`));
  });
});
