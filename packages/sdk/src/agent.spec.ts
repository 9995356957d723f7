import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { agentFrame, type AgentMessage, type ServerMessage, type TaskAssignment } from '@muster/contracts';
import { WebSocketServer, type WebSocket } from 'ws';
import { defineAgent, type AgentEvent, type RunningAgent, type TaskHandler } from './agent.ts';
import { MusterApiError, PermanentError, StaleLeaseError, TaskCancelledError } from './errors.ts';

const id = (prefix: string, n: number): string => `${prefix}_01jd9x0m4ve2tbk6x3h2v4q8${String(n).padStart(2, '0')}`;
const assignment = (n: number, fence: number): TaskAssignment => ({
  taskId: id('task', n),
  attemptId: id('att', n),
  attempt: 1,
  fence,
  leaseUntil: '2026-11-21T00:00:00.000Z',
  capability: 'text.count',
  title: 'Count',
  input: { text: 'abc' },
  project: { id: id('proj', 1), slug: 'p', branch: 'main', head: null, gitPath: '/git/p.git' },
  lessons: [],
  checkpoint: null,
  rework: null,
});

/** Speaks the server's side of the agent protocol, as far as a test tells it to. */
class FakeMuster {
  readonly heard: AgentMessage[] = [];
  readonly tokens: Array<string | undefined> = [];
  socket: WebSocket | null = null;
  refuseWith = 0;
  /** What is answered to a message; undefined: nothing. */
  answer: (message: AgentMessage) => ServerMessage | undefined = (message) => ({ type: 'ok', re: message.seq });
  readonly #http: Server;
  readonly #sockets: WebSocketServer;

  private constructor() {
    this.#http = createServer();
    this.#sockets = new WebSocketServer({ noServer: true });
    this.#http.on('upgrade', (request, socket, head) => {
      this.tokens.push(request.headers.authorization);
      if (this.refuseWith > 0) {
        socket.end(`HTTP/1.1 ${this.refuseWith} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#serve(ws));
    });
  }
  static async start(): Promise<FakeMuster> {
    const fake = new FakeMuster();
    await new Promise<void>((resolve) => fake.#http.listen(0, '127.0.0.1', resolve));
    return fake;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }
  send(...messages: ServerMessage[]): void {
    this.socket?.send(JSON.stringify(messages));
  }
  of<T extends AgentMessage['type']>(type: T): Array<Extract<AgentMessage, { type: T }>> {
    return this.heard.filter((message): message is Extract<AgentMessage, { type: T }> => message.type === type);
  }
  #serve(ws: WebSocket): void {
    this.socket = ws;
    ws.on('message', (data: Buffer) => {
      for (const message of agentFrame.parse(JSON.parse(data.toString('utf8')))) {
        this.heard.push(message);
        if (message.type === 'hello')
          this.send({ type: 'welcome', re: message.seq, instanceId: id('inst', 1), leaseMs: 600, heartbeatMs: 100 });
        else {
          const answer = this.answer(message);
          if (answer) this.send(answer);
        }
      }
    });
  }
  async close(): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    await new Promise((resolve) => this.#http.close(resolve));
  }
}

const until = async (what: () => boolean, ms = 5_000): Promise<void> => {
  const end = Date.now() + ms;
  while (!what()) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

describe('an agent on the socket', () => {
  let muster: FakeMuster;
  let running: RunningAgent | null = null;
  let events: AgentEvent[] = [];
  const start = async (handler: TaskHandler, capacity = 1): Promise<RunningAgent> => {
    events = [];
    running = await defineAgent({ name: 'counter', capabilities: { 'text.count': handler }, capacity }).connect({
      url: muster.url,
      token: 'key',
      maxReconnectMs: 100,
      onEvent: (event) => events.push(event),
    });
    return running;
  };
  beforeEach(async () => {
    muster = await FakeMuster.start();
  });
  afterEach(async () => {
    await running?.stop();
    running = null;
    await muster.close();
  });

  it('asks again for what the server could not do just now, and hears of what it will not do', async () => {
    let refusals = 0;
    const problem = (status: number) => ({ type: 'about:blank', title: 'No', status, code: 'test.no', detail: 'no' });
    muster.answer = (message) => {
      if (message.type === 'checkpoint') return { type: 'refused', re: message.seq, problem: problem(422) };
      if (message.type === 'cost' && (refusals += 1) < 4)
        return { type: 'refused', re: message.seq, problem: problem(503) };
      return { type: 'ok', re: message.seq };
    };
    const refused: unknown[] = [];
    await start(async (_task, ctx) => {
      await ctx.checkpoint({ at: 1 }).catch((error: unknown) => refused.push(error));
      await ctx.cost({ usd: 0.5 });
      return null;
    });
    muster.send({ type: 'task', task: assignment(1, 7) });
    await until(() => events.some((event) => event.type === 'task_ended'), 30_000);
    expect(refused).toEqual([expect.any(MusterApiError)]);
    expect(muster.of('checkpoint')).toHaveLength(1);
    expect(muster.of('cost')).toHaveLength(4);
    expect(new Set(muster.of('cost').map(({ seq, key }) => `${seq} ${key}`)).size).toBe(1);
    expect(events.at(-1)).toMatchObject({ type: 'task_ended', outcome: 'completed' });
  });

  it('says hello with its key and gives one credit for each free slot', async () => {
    await start(() => null, 3);
    await until(() => muster.of('credit').length > 0);
    expect(muster.tokens).toEqual(['Bearer key']);
    expect(muster.of('hello')[0]).toMatchObject({ agent: 'counter', capabilities: ['text.count'], capacity: 3 });
    expect(muster.of('credit')[0]?.count).toBe(3);
  });

  it('completes a task with what the handler returns, under its fence, and frees the slot', async () => {
    await start((task) => ({ length: JSON.stringify(task.input['text']).length - 2 }));
    muster.send({ type: 'task', task: assignment(1, 7) });
    await until(() => muster.of('credit').length === 2);
    expect(muster.of('complete')).toMatchObject([{ taskId: id('task', 1), fence: 7, output: { length: 3 } }]);
  });

  it('tells a failure, and whether another try makes sense', async () => {
    await start((task) => {
      if (task.fence === 1) throw new Error('no luck');
      throw new PermanentError('no use');
    });
    muster.send({ type: 'task', task: assignment(1, 1) });
    await until(() => muster.of('fail').length === 1);
    muster.send({ type: 'task', task: assignment(2, 2) });
    await until(() => muster.of('fail').length === 2);
    expect(muster.of('fail')).toMatchObject([
      { error: 'no luck', retryable: true },
      { error: 'no use', retryable: false },
    ]);
  });

  it('renews what it holds with each heartbeat and stops on what has become stale', async () => {
    let reason: unknown;
    await start(async (_task, ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      reason = ctx.signal.reason;
      ctx.signal.throwIfAborted();
    });
    muster.send({ type: 'task', task: assignment(1, 5) });
    await until(() => muster.of('heartbeat').some((beat) => beat.held.length === 1));
    muster.answer = (message) =>
      message.type === 'heartbeat'
        ? { type: 'ok', re: message.seq, result: { stale: [{ taskId: id('task', 1), fence: 5 }] } }
        : { type: 'ok', re: message.seq };
    await until(() => events.some((event) => event.type === 'task_ended'));
    expect(reason).toBeInstanceOf(StaleLeaseError);
    expect(events.at(-1)).toMatchObject({ type: 'task_ended', outcome: 'stale_lease' });
    expect(muster.of('fail')).toEqual([]);
  });

  it('hears a cancel with its reason', async () => {
    let reason: unknown;
    await start(async (_task, ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      reason = ctx.signal.reason;
    });
    muster.send({ type: 'task', task: assignment(1, 5) });
    await until(() => events.some((event) => event.type === 'task_started'));
    muster.send({ type: 'cancel', taskId: id('task', 1), fence: 5, reason: 'not needed' });
    await until(() => events.some((event) => event.type === 'task_ended'));
    expect(reason).toBeInstanceOf(TaskCancelledError);
    expect(muster.of('complete')).toEqual([]);
  });

  it('stops when a write of its own is refused as stale', async () => {
    muster.answer = (message) =>
      message.type === 'progress'
        ? {
            type: 'refused',
            re: message.seq,
            problem: { type: 'about:blank', title: 'Stale', status: 409, code: 'runtime.stale_lease', detail: 'Stop.' },
          }
        : { type: 'ok', re: message.seq };
    await start(async (_task, ctx) => {
      await ctx.progress('half', 0.5);
    });
    muster.send({ type: 'task', task: assignment(1, 5) });
    await until(() => events.some((event) => event.type === 'task_ended'));
    expect(events.at(-1)).toMatchObject({ outcome: 'stale_lease' });
  });

  it('comes back after a lost connection as the same instance and sends again what was not answered', async () => {
    muster.answer = (message) => (message.type === 'complete' ? undefined : { type: 'ok', re: message.seq });
    await start(() => 'done');
    muster.send({ type: 'task', task: assignment(1, 9) });
    await until(() => muster.of('complete').length === 1);
    muster.answer = (message) => ({ type: 'ok', re: message.seq });
    muster.socket?.terminate();
    await until(() => muster.of('complete').length === 2);
    expect(muster.of('hello')[1]).toMatchObject({ resume: id('inst', 1) });
    expect(muster.of('complete')[1]).toEqual(muster.of('complete')[0]);
    await until(() => events.some((event) => event.type === 'task_ended'));
    expect(events.at(-1)).toMatchObject({ outcome: 'completed' });
  });

  it('does not start a task twice that it hears of twice', async () => {
    let runs = 0;
    await start(async () => {
      runs += 1;
      await new Promise((resolve) => setTimeout(resolve, 200));
    });
    muster.send({ type: 'task', task: assignment(1, 3) }, { type: 'task', task: assignment(1, 3) });
    await until(() => muster.of('complete').length === 1);
    expect(runs).toBe(1);
  });

  it('hands back what is still running when it is stopped, and says goodbye', async () => {
    const agent = await start(async (_task, ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      ctx.signal.throwIfAborted();
    });
    muster.send({ type: 'task', task: assignment(1, 4) });
    await until(() => events.some((event) => event.type === 'task_started'));
    await agent.stop({ reason: 'lunch', drainMs: 50 });
    expect(muster.of('release')).toMatchObject([{ taskId: id('task', 1), fence: 4 }]);
    expect(muster.of('bye')).toMatchObject([{ reason: 'lunch' }]);
    await agent.ended;
  });

  it('begins nothing that reaches it while it says goodbye, and ends what reached it before', async () => {
    const begun: string[] = [];
    const agent = await start(async (task) => {
      begun.push(task.taskId);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return null;
    }, 4);
    let late = false;
    muster.answer = (message) => {
      // What was claimed for it before the server heard that it takes nothing more.
      if (message.type === 'complete' && !late) {
        late = true;
        muster.send({ type: 'task', task: assignment(2, 8) });
      }
      if (message.type === 'bye') muster.send({ type: 'task', task: assignment(3, 9) });
      return { type: 'ok', re: message.seq };
    };
    muster.send({ type: 'task', task: assignment(1, 7) });
    await until(() => begun.length === 1);
    await agent.stop({ drainMs: 5_000 });
    expect(begun).toEqual([id('task', 1), id('task', 2)]);
    expect(muster.of('complete').map(({ fence }) => fence)).toEqual([7, 8]);
    expect(events.filter(({ type }) => type === 'task_ended')).toMatchObject([
      { outcome: 'completed' },
      { outcome: 'completed' },
    ]);
  });

  it('gives back at once what reaches it while somebody’s handler keeps it from leaving', async () => {
    let begun = 0;
    let end = (): void => undefined;
    const agent = await start(() => new Promise((resolve) => ((begun += 1), (end = () => resolve(null)))), 4);
    muster.send({ type: 'task', task: assignment(1, 7) });
    await until(() => begun === 1);
    const stopped = agent.stop();
    await until(() => muster.of('credit').some(({ count }) => count === 0));
    muster.send({ type: 'task', task: assignment(2, 8) });
    await until(() => muster.of('release').length > 0);
    expect(muster.of('release')).toMatchObject([{ taskId: id('task', 2), fence: 8 }]);
    end();
    await stopped;
    expect(begun).toBe(1);
  });

  it('takes nothing more once it is to drain, also when somebody changes their mind', async () => {
    let end = (): void => undefined;
    const agent = await start(() => new Promise((resolve) => (end = () => resolve(null))), 4);
    muster.send({ type: 'task', task: assignment(1, 7) });
    await until(() => events.some(({ type }) => type === 'task_started'));
    const before = muster.of('credit').length;
    muster.send({ type: 'wanted', wanted: 'drain', reason: 'lunch' });
    await until(() => muster.of('credit').length > before);
    muster.send({ type: 'wanted', wanted: 'run', reason: null });
    await until(() => events.filter(({ type }) => type === 'wanted').length === 2);
    end();
    await agent.ended;
    expect(muster.of('credit').slice(before)).toMatchObject([{ count: 0 }]);
    expect(muster.of('complete')).toHaveLength(1);
    expect(muster.of('bye')).toHaveLength(1);
  });

  it('gives up at once when its key is refused', async () => {
    muster.refuseWith = 401;
    await expect(start(() => null)).rejects.toBeInstanceOf(MusterApiError);
  });

  it('keeps trying while the server is away', async () => {
    muster.refuseWith = 503;
    setTimeout(() => (muster.refuseWith = 0), 300);
    const agent = await start(() => null);
    expect(agent.instanceId).toBe(id('inst', 1));
    expect(muster.tokens.length).toBeGreaterThan(1);
  });

  it('sends log lines in batches', async () => {
    await start((_task, ctx) => {
      ctx.log('one\ntwo');
      ctx.log('three');
      ctx.log('four', 'stderr');
    });
    muster.send({ type: 'task', task: assignment(1, 4) });
    await until(() => muster.of('complete').length === 1);
    expect(muster.of('log')).toMatchObject([
      { lines: ['one', 'two', 'three'], stream: 'stdout' },
      { lines: ['four'], stream: 'stderr' },
    ]);
  });
});
