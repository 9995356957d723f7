import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Database } from '#platform/database';
import { type TestDatabase, testDatabase } from '#test/database';
import { redisTest, startRedis, type TestRedis } from '#test/redis';
import { PostgresCarrier } from './postgres-carrier.ts';
import { RedisCarrier } from './redis-carrier.ts';
import { Signals } from './signals.ts';

const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
/** Bounded: what never comes fails the test by its name. */
async function until(come: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  for (const end = Date.now() + ms; !(await come()); await pause(10)) {
    if (Date.now() > end) throw new Error('It did not come true in time.');
  }
}

let testing: TestDatabase;
let database: Database;
const cleanup: (() => Promise<void>)[] = [];
beforeAll(async () => {
  Logger.overrideLogger(false);
  testing = await testDatabase();
  database = await testing.open();
});
afterEach(async () => {
  for (const stop of cleanup.splice(0).reverse()) await stop();
});
afterAll(() => testing.drop());

/** One replica's end, and everything that it was told, `null` (look for yourself) included. */
async function replica(
  carrier: PostgresCarrier | RedisCarrier,
): Promise<{ signals: Signals; heard: (string | null)[] }> {
  const signals = new Signals(carrier);
  const heard: (string | null)[] = [];
  signals.subscribe('topic', (word) => heard.push(word));
  signals.onApplicationBootstrap();
  cleanup.push(() => signals.onApplicationShutdown());
  await until(() => signals.connected);
  heard.length = 0;
  return { signals, heard };
}

describe('signals over PostgreSQL', () => {
  test('reach this process at once and the others soon, each once', async () => {
    const one = await replica(new PostgresCarrier(database));
    const two = await replica(new PostgresCarrier(database));
    one.signals.publish('topic', 'a');
    expect(one.heard).toEqual(['a']);
    await until(() => two.heard.length > 0);
    expect({ one: one.heard, two: two.heard }).toEqual({ one: ['a'], two: ['a'] });
  });

  test('that say the same thing share a message, and too many words become "look for yourself"', async () => {
    const one = await replica(new PostgresCarrier(database));
    const two = await replica(new PostgresCarrier(database));
    for (let n = 0; n < 1000; n++) one.signals.publishElsewhere('topic', 'again');
    await until(() => two.heard.length > 0);
    expect(two.heard).toEqual(['again']);
    for (let n = 0; n < 5000; n++) one.signals.publishElsewhere('topic', `word ${n}`);
    await until(() => two.heard.length > 1);
    expect(two.heard.slice(1)).toEqual([null]);
    one.signals.publishElsewhere('topic', 'x'.repeat(20_000));
    await until(() => two.heard.length > 2);
    expect(two.heard.slice(2)).toEqual([null]);
  });

  test('notify nobody in an installation of one server, where it would only cost', async () => {
    const spy = new pg.Client({ ...database.connection, application_name: 'a spy' });
    const seen: string[] = [];
    spy.on('notification', ({ payload }) => {
      if (payload?.startsWith('[') === true) seen.push(payload);
    });
    await spy.connect();
    cleanup.push(() => spy.end());
    await spy.query('listen muster_signals');
    const one = await replica(new PostgresCarrier(database));
    one.signals.publish('topic', 'alone');
    await until(() => one.signals.counts.sent === 1);
    // What others say when they come is heard without another question.
    await replica(new PostgresCarrier(database));
    await until(() => {
      one.signals.publish('topic', 'together');
      return seen.length > 0;
    });
    expect((JSON.parse(seen[0] ?? '') as unknown[])[1]).toEqual([['topic', ['together']]]);
  });

  test('go on after the connection was cut, and what may have been missed is told', async () => {
    const one = await replica(new PostgresCarrier(database));
    const two = await replica(new PostgresCarrier(database));
    await testing.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'muster signals' and datname = current_database()`,
    );
    await until(() => two.heard.includes(null) && one.heard.includes(null));
    one.signals.publish('topic', 'after');
    await until(() => two.heard.includes('after'));
  });
});

describe('signals over Redis', () => {
  let redis: TestRedis;
  const overRedis = () => replica(new RedisCarrier(redis.url, () => Promise.resolve('muster:test'), 100));
  const withRedis = (name: string, work: () => Promise<void>) =>
    redisTest(name, async () => {
      redis = await startRedis();
      cleanup.unshift(() => redis.stop());
      await work();
    });

  withRedis('reach this process at once and the others soon, each once', async () => {
    const one = await overRedis();
    const two = await overRedis();
    one.signals.publish('topic', 'a');
    await until(() => two.heard.length > 0);
    expect({ one: one.heard, two: two.heard }).toEqual({ one: ['a'], two: ['a'] });
  });

  withRedis('are dropped and counted while Redis is dead, and go on when it is back', async () => {
    const one = await overRedis();
    const two = await overRedis();
    await redis.kill();
    await until(() => !one.signals.connected && !two.signals.connected);
    for (let n = 0; n < 100; n++) one.signals.publish('topic', `lost ${n}`);
    await until(() => one.signals.counts.dropped > 0);
    expect(one.heard).toHaveLength(100);
    expect(two.heard).toEqual([]);
    await redis.restart();
    await until(() => one.signals.connected && two.signals.connected);
    await until(() => two.heard.includes(null));
    one.signals.publish('topic', 'after');
    await until(() => two.heard.includes('after'));
    expect(two.heard.filter((word) => word?.startsWith('lost'))).toEqual([]);
  });

  withRedis('are not disturbed by a flush, nor by strangers who write to the channel', async () => {
    const one = await overRedis();
    const two = await overRedis();
    const stranger = new Redis(redis.url);
    await stranger.flushall();
    for (const text of ['', 'null', '{}', '[1]', '["x",[["topic",[1]]]]', '["x",[["topic"]]]', 'x'.repeat(100_000)])
      await stranger.publish('muster:test', text);
    await stranger.quit();
    one.signals.publish('topic', 'a');
    await until(() => two.heard.length > 0);
    expect(two.heard).toEqual(['a']);
  });

  withRedis('notice a Redis that is connected and says nothing, and go on when it speaks again', async () => {
    const one = await overRedis();
    const two = await overRedis();
    redis.pause();
    await until(() => !one.signals.connected && !two.signals.connected);
    redis.resume();
    await until(() => one.signals.connected && two.signals.connected);
    one.signals.publish('topic', 'after');
    await until(() => two.heard.includes('after'));
  });

  redisTest('need no Redis to start: without one they reach this process only', async () => {
    const gone = await startRedis();
    await gone.stop();
    const signals = new Signals(new RedisCarrier(gone.url, () => Promise.resolve('muster:test')));
    const heard: (string | null)[] = [];
    signals.subscribe('topic', (word) => heard.push(word));
    signals.onApplicationBootstrap();
    cleanup.push(() => signals.onApplicationShutdown());
    signals.publish('topic', 'a');
    await until(() => signals.counts.dropped > 0);
    expect({ heard, connected: signals.connected }).toEqual({ heard: ['a'], connected: false });
  });
});
