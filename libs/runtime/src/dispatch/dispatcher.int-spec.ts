import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ServerMessage } from '@muster/contracts';
import { WebSocket } from 'ws';
import { runtimeRoom, type RuntimeRoom } from '#test/runtime-room';
import { until } from '#test/until';
import { RuntimeModule } from '../runtime.module.ts';
import { ReadyLanes } from './ready-lanes.ts';

let room: RuntimeRoom;
beforeAll(async () => {
  room = await runtimeRoom(RuntimeModule);
}, 60_000);
afterEach(() => void jest.restoreAllMocks());
afterAll(() => room.close());

/** An agent's socket, as far as a test says something on it. */
async function agent() {
  const got: ServerMessage[] = [];
  const address = (await room.app.getUrl()).replace('http', 'ws');
  const socket = new WebSocket(`${address}/api/runtime/connect`, {
    headers: { authorization: `Bearer ${room.actor().id}` },
  });
  socket.on('message', (raw) => got.push(...(JSON.parse((raw as Buffer).toString()) as ServerMessage[])));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  let seq = 0;
  const ask = (message: object): Promise<ServerMessage> => {
    const re = (seq += 1);
    socket.send(JSON.stringify([{ ...message, seq: re }]));
    return until(() => got.find((one) => 're' in one && one.re === re));
  };
  await ask({ type: 'hello', protocol: 1, agent: 'coder', capabilities: ['code.change'] });
  return {
    ask,
    tasks: () => got.flatMap((message) => (message.type === 'task' ? [message.task] : [])),
    close: () => socket.close(),
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
    knows.close();
    other.close();
  });
});
