import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServerMessage } from '@muster/contracts';
import { defineAgent, type MusterClient } from '@muster/sdk';
import { WebSocket } from 'ws';
import { type AgentAtWork, newAgentKey, startWithAgent } from '#test/agent-at-work';
import type { TestServer } from '#test/app';

const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
/** Bounded: what never comes fails the test, with what there was instead. */
async function until<T>(read: () => Promise<T> | T, good: (value: T) => boolean, ms = 45_000): Promise<T> {
  for (const end = Date.now() + ms; ; await pause(20)) {
    const value = await read();
    if (good(value)) return value;
    if (Date.now() > end) throw new Error(`It did not come true: ${JSON.stringify(value)?.slice(0, 1000)}`);
  }
}

describe('beside an agent that behaves badly', () => {
  let server: TestServer;
  let client: MusterClient;
  let project: string;
  let world: AgentAtWork | undefined;
  const sockets: WebSocket[] = [];
  const agent = defineAgent({ name: 'polite', capabilities: { 'text.count': () => 1 } });
  const newKey = (): Promise<string> => newAgentKey(server);

  beforeAll(async () => {
    world = await startWithAgent(agent);
    ({ server, client, project } = world);
  }, 120_000);
  afterAll(async () => {
    for (const socket of sockets) socket.terminate();
    await world?.stop();
  });

  const connect = async (): Promise<{ socket: WebSocket; heard: ServerMessage[] }> => {
    const socket = new WebSocket(`${server.url.replace(/^http/, 'ws')}/api/runtime/connect`, {
      headers: { authorization: `Bearer ${await newKey()}` },
    });
    sockets.push(socket);
    const heard: ServerMessage[] = [];
    socket.on('message', (data: Buffer) => heard.push(...(JSON.parse(data.toString()) as ServerMessage[])));
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('open', resolve));
    return { socket, heard };
  };
  const hello = (more: object = {}) => ({
    type: 'hello',
    seq: 1,
    protocol: 1,
    agent: 'polite',
    capabilities: ['text.count'],
    ...more,
  });
  /** What the others notice of it. */
  const othersWork = async (): Promise<void> => {
    const task = await client.projects.execute(project, 'text.count', { input: {}, waitSeconds: 60 });
    expect(task).toMatchObject({ state: 'succeeded', attempt: 1 });
  };
  const openSockets = async (): Promise<number> => {
    const metrics: string = (await server.request('GET', '/metrics', undefined, { token: null })).body;
    return Number(/^muster_sockets_open\{.*\} (\d+)$/m.exec(metrics)?.[1]);
  };

  it.each([-1, 0, 1.5, 1e9, '2', null])(
    'a capacity of %p is refused by name, over socket and request, and the next hello is heard',
    async (capacity) => {
      const { socket, heard } = await connect();
      socket.send(JSON.stringify([hello({ capacity })]));
      const [refused] = await until(
        () => heard,
        (all) => all.length === 1,
      );
      expect(refused).toMatchObject({
        type: 'refused',
        re: 1,
        problem: { status: 400, code: 'request.invalid', errors: [{ path: 'capacity' }] },
      });
      socket.send(JSON.stringify([hello({ seq: 2, capacity: 1 })]));
      await until(
        () => heard,
        (all) => all.some(({ type }) => type === 'welcome'),
      );
      socket.send(JSON.stringify([{ type: 'bye', seq: 3 }]));
      const { seq: _seq, type: _type, ...body } = hello({ capacity });
      const token = await newKey();
      expect(await server.request('POST', '/api/runtime/instances', body, { token })).toMatchObject({ status: 400 });
    },
    60_000,
  );

  it('a flood of heartbeats is answered one for one, and others work meanwhile', async () => {
    const { socket, heard } = await connect();
    socket.send(JSON.stringify([hello()]));
    const frames = 40;
    const perFrame = 500;
    for (let frame = 0; frame < frames; frame++)
      socket.send(
        JSON.stringify(
          Array.from({ length: perFrame }, (_, n) => ({ type: 'heartbeat', seq: 2 + frame * perFrame + n, held: [] })),
        ),
      );
    await othersWork();
    const answers = await until(
      () => heard,
      (all) => all.filter(({ type }) => type === 'ok').length === frames * perFrame,
      90_000,
    );
    expect(new Set(answers.map((one) => ('re' in one ? one.re : -1))).size).toBe(frames * perFrame + 1);
    socket.send(JSON.stringify([{ type: 'bye', seq: 1_000_000 }]));
  }, 180_000);

  it('one that asks and never reads is cut off, and others work meanwhile', async () => {
    const before = await openSockets();
    const { socket } = await connect();
    socket.pause();
    expect(await openSockets()).toBe(before + 1);
    // Each is refused with some hundred bytes that nobody fetches. Bounded: far more than the server keeps and the kernel takes.
    const rude = JSON.stringify(Array.from({ length: 1000 }, (_, seq) => ({ type: 'heartbeat', seq })));
    for (let frame = 0; frame < 400 && (await openSockets()) > before; frame++) socket.send(rude);
    await othersWork();
    await until(openSockets, (count) => count === before, 90_000);
    await othersWork();
  }, 240_000);
});
