import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { ConfigModule, loadConfig } from '#platform/config';
import { Rounds, RoundsModule } from './index.ts';

const open: TestingModule[] = [];
afterEach(async () => {
  for (const module of open.splice(0)) await module.close();
});

async function rounds(role = 'all'): Promise<{ rounds: Rounds; close: () => Promise<void> }> {
  const module = await Test.createTestingModule({
    imports: [ConfigModule.forRoot(loadConfig({ MUSTER_ROLE: role })), RoundsModule],
  }).compile();
  module.useLogger(false);
  await module.init();
  open.push(module);
  return { rounds: module.get(Rounds), close: () => module.close() };
}

/** Bounded: a round that never comes fails the test by its name. */
async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !condition(); tries++) await pause(10);
  expect(condition()).toBe(true);
}

describe('rounds', () => {
  test('come again, also after one that failed, and never overlap themselves', async () => {
    const { rounds: all } = await rounds();
    let [count, inside] = [0, 0];
    all.begin('counting', 1, async () => {
      expect(++inside).toBe(1);
      await pause(3);
      inside--;
      if (++count === 2) throw new Error('the second goes wrong');
    });
    await until(() => count >= 4);
  });

  test('come at once when somebody asks for one, and once more when one was under way', async () => {
    const { rounds: all } = await rounds();
    let begun = 0;
    let end = (): void => undefined;
    all.begin('rare', 3_600_000, () => {
      begun++;
      return new Promise<void>((resolve) => (end = resolve));
    });
    all.soon('nobody knows it');
    all.soon('rare');
    await until(() => begun === 1);
    all.soon('rare');
    all.soon('rare');
    end();
    await until(() => begun === 2);
    end();
    await pause(30);
    expect(begun).toBe(2);
  });

  test('come soon after one that failed, however long their pause is', async () => {
    const { rounds: all } = await rounds();
    let begun = 0;
    all.begin('rare and broken', 3_600_000, async () => {
      if (++begun <= 2) throw new Error('no database at the moment');
    });
    all.soon('rare and broken');
    await until(() => begun === 3);
  });

  test('are told to end when the server stops, are waited for, and come no more', async () => {
    const { rounds: all, close } = await rounds();
    let [begun, ended] = [0, 0];
    all.begin('long', 1, async (signal) => {
      begun++;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await pause(20);
      ended++;
    });
    await until(() => begun === 1);
    await close();
    expect([begun, ended]).toEqual([1, 1]);
  });

  test('are not gone on by servers that only answer requests, but for those of every server', async () => {
    const { rounds: api, close } = await rounds('api');
    let begun = 0;
    api.begin('background', 1, async () => begun++);
    let everywhere = 0;
    api.beginEverywhere('for all', 1, async () => everywhere++);
    await until(() => everywhere > 1);
    await pause(30);
    await close();
    expect(begun).toBe(0);
  });
});
