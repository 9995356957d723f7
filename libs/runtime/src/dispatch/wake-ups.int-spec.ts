import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { PostgresCarrier, Signals } from '#platform/redis';
import { type TestDatabase, testDatabase } from '#test/database';
import { type ReadyHint, WakeUps } from './wake-ups.ts';

let testing: TestDatabase;
const cleanup: (() => Promise<void>)[] = [];
beforeAll(async () => {
  testing = await testDatabase();
});
afterEach(async () => {
  for (const stop of cleanup.splice(0).reverse()) await stop();
});
afterAll(() => testing.drop());

async function until(come: () => boolean): Promise<void> {
  for (let tries = 0; !come(); tries += 1) {
    if (tries > 1_000) throw new Error('It did not come true in 10 s.');
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

async function replica(): Promise<{ wakeUps: WakeUps; heard: (readonly ReadyHint[] | null)[] }> {
  const signals = new Signals(new PostgresCarrier(await testing.open()));
  const wakeUps = new WakeUps(signals);
  const heard: (readonly ReadyHint[] | null)[] = [];
  wakeUps.onClaimable((hints) => heard.push(hints));
  signals.onApplicationBootstrap();
  cleanup.push(() => signals.onApplicationShutdown());
  await until(() => signals.connected);
  heard.length = 0;
  return { wakeUps, heard };
}

describe('what can be claimed', () => {
  it('is told to other servers by its lane where it came back, so that it need not wait for their next look', async () => {
    const [here, there] = [await replica(), await replica()];
    here.wakeUps.somethingToClaim([{ lane: -7 }, { lane: -8 }]);
    await until(() => there.heard.length === 2);
    expect(there.heard).toEqual([[{ lane: -7 }], [{ lane: -8 }]]);
    here.wakeUps.somethingToClaim([{ lane: 7, seq: 12 }]);
    await until(() => there.heard.length === 3);
    expect(there.heard[2]).toBeNull();
    expect(here.heard).toEqual([[{ lane: -7 }, { lane: -8 }], [{ lane: 7, seq: 12 }]]);
  });
});
