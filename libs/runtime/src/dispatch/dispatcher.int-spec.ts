import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ServerMessage } from '@muster/contracts';
import { Logger } from '@nestjs/common';
import { WebSocket } from 'ws';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { until } from '#test/until';
import { RuntimeModule } from '../runtime.module.ts';
import { ReadyLanes } from './ready-lanes.ts';
import { LeaseSweep } from './sweep.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  // Nothing happens here because a second is over.
  const setInterval = jest.spyOn(globalThis, 'setInterval');
  setInterval.mockImplementation(() => setTimeout(() => undefined, 0));
  room = await runtimeRoom(RuntimeModule);
  setInterval.mockRestore();
}, 60_000);
const sockets: WebSocket[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  for (const socket of sockets.splice(0)) socket.close();
  // Until the server has heard it too: work of the next test would be handed to who is gone.
  for (let tries = 0; tries < 400; tries += 1) {
    const here = await room.test.sql(`select from instances where state <> 'offline'`);
    if (here.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('The server still held an agent to be there 10 s after its socket was closed.');
});
afterAll(() => room.close());

/** An agent's socket, as far as a test says something on it. */
async function agent(capacity = 1) {
  const got: ServerMessage[] = [];
  const address = (await room.app.getUrl()).replace('http', 'ws');
  const socket = new WebSocket(`${address}/api/runtime/connect`, {
    headers: { authorization: `Bearer ${room.actor().id}` },
  });
  socket.on('message', (raw) => got.push(...(JSON.parse((raw as Buffer).toString()) as ServerMessage[])));
  sockets.push(socket);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  let seq = 0;
  const ask = (message: object): Promise<ServerMessage> => {
    const re = (seq += 1);
    socket.send(JSON.stringify([{ ...message, seq: re }]));
    return until(() => got.find((one) => 're' in one && one.re === re));
  };
  await ask({ type: 'hello', protocol: 1, agent: 'coder', capabilities: ['code.change'], capacity });
  return {
    ask,
    tasks: () => got.flatMap((message) => (message.type === 'task' ? [message.task] : [])),
  };
}

describe('the dispatcher', () => {
  it('asks again about what others may not have as soon as somebody else has room, without a look at the table', async () => {
    const knows = await agent();
    await knows.ask({ type: 'credit', count: 1 });
    await room.create();
    const first = await until(() => knows.tasks()[0]);
    await knows.ask({ type: 'complete', taskId: first.taskId, fence: first.fence, output: null });

    // From here on no time passes for whoever looks at the table by the clock.
    const now = performance.now();
    jest.spyOn(performance, 'now').mockReturnValue(now);
    const lanes = room.app.get(ReadyLanes);
    await lanes.current(true);
    const other = await agent();
    await other.ask({ type: 'credit', count: 1 });
    const { id } = await room.create({ sticky: { task: first.taskId } });
    // It was asked for, and the other one may not have it.
    await until(() => (lanes.known().length === 0 ? true : undefined));
    expect(other.tasks()).toEqual([]);

    await knows.ask({ type: 'credit', count: 1 });
    expect(await until(() => knows.tasks()[1])).toMatchObject({ taskId: id });
    expect(other.tasks()).toEqual([]);
  });

  it('hands out what waits as soon as the database answers again, without a second in between', async () => {
    const { id } = await room.create();
    const failed = jest.spyOn(Logger.prototype, 'error');
    await room.test.sql('alter table task_ready rename to task_ready_away');
    const one = await agent();
    await one.ask({ type: 'credit', count: 1 });
    await until(() => failed.mock.calls.find(([, message]) => String(message).includes('a round failed')));
    await room.test.sql('alter table task_ready_away rename to task_ready');
    const { fence } = await until(() => one.tasks()[0]);
    expect(await one.ask({ type: 'complete', taskId: id, fence, output: null })).toMatchObject({ type: 'ok' });
  });

  it('gives what ran out to whoever has room, each task once and under a new fence, all in one go', async () => {
    const late = await agent(3);
    await late.ask({ type: 'credit', count: 3 });
    const created = [await room.create(), await room.create(), await room.create()].map(({ id }) => id).sort();
    const lost = await until(() => (late.tasks().length === 3 ? late.tasks() : undefined));
    const [two, one] = [await agent(2), await agent()];
    await two.ask({ type: 'credit', count: 2 });
    await one.ask({ type: 'credit', count: 1 });
    await room.test.sql(
      `update task_running set lease_until = muster_now() - interval '1 second' where task_id = any ($1)`,
      [created],
    );
    await room.app.get(LeaseSweep).once();

    const again = await until(() => {
      const all = [...two.tasks(), ...one.tasks()];
      return all.length === 3 ? all : undefined;
    });
    expect([two.tasks().length, one.tasks().length]).toEqual([2, 1]);
    expect(again.map(({ taskId }) => taskId).sort()).toEqual(created);
    const highest = Math.max(...lost.map(({ fence }) => fence));
    for (const { attempt, fence } of again) {
      expect(attempt).toBe(2);
      expect(fence).toBeGreaterThan(highest);
    }
    for (const { taskId, fence } of lost)
      expect(await late.ask({ type: 'complete', taskId, fence, output: null })).toMatchObject({
        type: 'refused',
        problem: { code: 'runtime.stale_lease' },
      });
    expect(await room.broken()).toEqual([]);
  });

  it('takes an offer away whose attempt was renewed while it was being written, and gives it to nobody', async () => {
    const holder = await agent();
    await holder.ask({ type: 'credit', count: 1 });
    const { id } = await room.create();
    const { fence } = await until(() => holder.tasks()[0]);
    await room.test.sql(`update task_running set lease_until = muster_now() - interval '1 second' where task_id = $1`, [
      id,
    ]);
    await room.app.get(LeaseSweep).once();
    // Who renewed it waited for the row, and could not see the offer.
    await room.test.sql(
      `update task_running set lease_until = muster_now() + interval '1 hour', expiry_told = false, ready_seq = null where task_id = $1`,
      [id],
    );
    const other = await agent();
    await other.ask({ type: 'credit', count: 1 });
    for (let tries = 0; ; tries += 1) {
      if ((await room.test.sql(`select from task_ready where task_id = $1`, [id])).length === 0) break;
      expect(tries).toBeLessThan(400);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    expect(other.tasks()).toEqual([]);
    expect(await holder.ask({ type: 'complete', taskId: id, fence, output: null })).toMatchObject({ type: 'ok' });
    expect(await room.broken()).toEqual([]);
  });

  it('sees what came back to a lane of which nobody told it, although it has something else to go on with', async () => {
    let now = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => now);
    const lanes = room.app.get(ReadyLanes);
    await lanes.current(true);
    lanes.hint(2_000_001);
    await room.test.sql(
      `insert into task_ready (lane, seq, task_id, ready_at, attempts) values (-2000002, 1, 'task_back', muster_now(), 0)`,
    );
    lanes.hintAnywhere();
    now += 249;
    expect(await lanes.current()).not.toContain(-2_000_002);
    now += 1;
    expect(await lanes.current()).toContain(-2_000_002);
    await room.test.sql(`delete from task_ready where lane = -2000002`);
    for (const lane of [2_000_001, -2_000_002]) lanes.forget(lane);
  });
});
