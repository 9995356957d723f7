import {
  readServerQuickly,
  serverMessage,
  type AgentMessage,
  type ServerMessage,
  type TaskAssignment,
} from '@muster/contracts';
import { z } from 'zod';
import { WebSocket } from 'ws';
import { atMost, backoffMs, pause } from './backoff.ts';
import { MusterApiError } from './errors.ts';
import {
  maxRefusals,
  passes,
  type AttemptVerb,
  type Link,
  type LinkOwner,
  type LinkTimes,
  type Outgoing,
} from './link.ts';

interface Pending {
  readonly message: AgentMessage;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  /** Verbs of a lease are sent again on the next connection: the fence makes that harmless. */
  readonly lasting: boolean;
  /** How often the server could not do it. */
  refusals: number;
  /** Until it is sent again. */
  again: NodeJS.Timeout | undefined;
}

const maxProjects = 100;
const staleList = z.object({ stale: z.array(z.object({ taskId: z.string(), fence: z.number() })) });

/** The agent socket: frames batched per tick, heartbeat, resume, answers matched by `re`. */
export class SocketLink implements Link {
  readonly ended: Promise<void>;
  readonly #url: string;
  readonly #token: () => Promise<string>;
  readonly #owner: LinkOwner;
  readonly #times: LinkTimes;
  readonly #pending = new Map<number, Pending>();
  readonly #stop = new AbortController();
  #outbox: AgentMessage[] = [];
  #socket: WebSocket | null = null;
  #welcomed = false;
  #instanceId: string | null = null;
  #seq = 0;
  #flushing = false;
  /** Slots that became free since the last frame. */
  #freed = 0;
  /** Projects as the schema has read them, by id: tasks of the same project come by the thousand. */
  readonly #projects = new Map<string, TaskAssignment['project']>();
  #accepting = true;
  #opened: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #end!: { resolve: () => void; reject: (error: Error) => void };

  constructor(url: string, token: () => Promise<string>, owner: LinkOwner, times: LinkTimes) {
    this.#url = `${url.replace(/^http/, 'ws')}/api/runtime/connect`;
    this.#token = token;
    this.#owner = owner;
    this.#times = times;
    this.ended = new Promise((resolve, reject) => (this.#end = { resolve, reject }));
    this.ended.catch(() => undefined);
  }

  open(): Promise<void> {
    const opened = new Promise<void>((resolve, reject) => (this.#opened = { resolve, reject }));
    void this.#stayConnected();
    return opened;
  }

  request(message: AttemptVerb): Promise<unknown> {
    return this.#ask(message, true);
  }

  slotFreed(): void {
    if (!this.#accepting || !this.#welcomed) return;
    this.#freed += 1;
    this.#flushSoon();
  }

  pause(): void {
    this.#accepting = false;
    if (this.#welcomed) void this.#ask({ type: 'credit', count: 0 }, false).catch(() => undefined);
  }

  resume(): void {
    this.#accepting = true;
    const free = this.#owner.freeSlots();
    if (this.#welcomed && free > 0) void this.#ask({ type: 'credit', count: free }, false).catch(() => undefined);
  }

  async close(reason: string): Promise<void> {
    if (this.#stop.signal.aborted) return;
    if (this.#welcomed) {
      const said = this.#ask({ type: 'bye', reason: reason.slice(0, 500) }, false).catch(() => undefined);
      await atMost(said, 2_000);
    }
    this.#stop.abort();
    this.#socket?.close(1000);
    const socket = this.#socket;
    setTimeout(() => socket?.terminate(), 1_000).unref();
    for (const waiting of this.#pending.values()) {
      clearTimeout(waiting.again);
      waiting.reject(new Error('The agent has closed its connection.'));
    }
    this.#pending.clear();
    this.#end.resolve();
  }

  async #stayConnected(): Promise<void> {
    for (let attempt = 0; !this.#stop.signal.aborted; attempt += 1) {
      if (attempt > 0) await pause(backoffMs(attempt - 1, this.#times), this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      const outcome = await this.#connectOnce();
      if (outcome.fatal) {
        this.#stop.abort();
        for (const waiting of this.#pending.values()) waiting.reject(outcome.fatal);
        this.#pending.clear();
        this.#opened?.reject(outcome.fatal);
        this.#end.reject(outcome.fatal);
        return;
      }
      if (outcome.welcomed) attempt = 0;
      if (!this.#stop.signal.aborted) this.#owner.onDisconnect(outcome.reason);
    }
  }

  async #connectOnce(): Promise<{ welcomed: boolean; reason: string; fatal: Error | null }> {
    const token = await this.#token();
    return new Promise((resolve) => {
      const socket = new WebSocket(this.#url, {
        headers: { authorization: `Bearer ${token}` },
        handshakeTimeout: 10_000,
        perMessageDeflate: false,
        maxPayload: 64 * 1024 * 1024,
      });
      this.#socket = socket;
      let welcomed = false;
      let reason = 'connection lost';
      let fatal: Error | null = null;
      let helloSeq = -1;
      let heartbeat: NodeJS.Timeout | undefined;
      let heardAt = performance.now();
      const finish = (): void => {
        clearInterval(heartbeat);
        this.#welcomed = false;
        this.#socket = null;
        for (const [seq, waiting] of this.#pending)
          if (!waiting.lasting) {
            this.#pending.delete(seq);
            waiting.reject(new Error('connection lost'));
          }
        resolve({ welcomed, reason, fatal });
      };
      socket.once('close', finish);
      socket.on('error', (error) => (reason = error.message));
      socket.on('unexpected-response', (_request, response) => {
        const status = response.statusCode ?? 0;
        reason = `the server answered ${status}`;
        if (status >= 400 && !passes(status))
          fatal = new MusterApiError({
            type: 'about:blank',
            title: 'Connection refused',
            status,
            code: status === 401 ? 'auth.unauthenticated' : 'runtime.connection_refused',
            detail: `The server refuses this agent's connection with ${status}. Check the token and that it may instance.connect.`,
          });
        // Without this, `ws` leaves the aborted handshake open.
        response.resume();
        socket.terminate();
      });
      socket.on('open', () => {
        helloSeq = this.#seq++;
        const hello: AgentMessage = {
          type: 'hello',
          seq: helloSeq,
          protocol: 1,
          ...this.#owner.hello,
          ...(this.#instanceId === null ? {} : { resume: this.#instanceId }),
        };
        socket.send(JSON.stringify([hello]));
      });
      socket.on('message', (data: Buffer) => {
        heardAt = performance.now();
        const frame = this.#read(parseJson(data));
        if (frame === null) {
          reason = 'the server sent something that is not a frame';
          socket.terminate();
          return;
        }
        for (const message of frame) {
          if (message.type === 'welcome' && message.re === helloSeq) {
            welcomed = true;
            this.#welcome(message);
            heartbeat = setInterval(() => {
              if (performance.now() - heardAt > 4 * message.heartbeatMs) {
                reason = 'the server went silent';
                socket.terminate();
              } else this.#beat();
            }, message.heartbeatMs);
            this.#beat();
          } else if (message.type === 'refused' && message.re === helloSeq) {
            reason = message.problem.detail;
            // A resumed instance that the server has forgotten starts over as a new one.
            if (this.#instanceId !== null && (message.problem.status === 404 || message.problem.status === 409))
              this.#instanceId = null;
            else if (!passes(message.problem.status)) fatal = new MusterApiError(message.problem);
            socket.close();
          } else this.#receive(message);
        }
      });
    });
  }

  #welcome(message: Extract<ServerMessage, { type: 'welcome' }>): void {
    this.#instanceId = message.instanceId;
    this.#welcomed = true;
    this.#freed = 0;
    this.#outbox = [];
    // Everything unanswered goes again, in order.
    for (const waiting of this.#pending.values()) {
      clearTimeout(waiting.again);
      if (waiting.lasting) this.#outbox.push(waiting.message);
    }
    this.#owner.onWelcome(message.instanceId);
    const free = this.#owner.freeSlots();
    if (this.#accepting && free > 0) void this.#ask({ type: 'credit', count: free }, false).catch(() => undefined);
    this.#flushSoon();
    this.#opened?.resolve();
    this.#opened = null;
  }

  #beat(): void {
    const held = this.#owner.held();
    void this.#ask({ type: 'heartbeat', held }, false).then(
      (result) => {
        const answer = staleList.safeParse(result);
        if (answer.success)
          for (const lease of answer.data.stale) this.#owner.onCancel(lease.taskId, lease.fence, 'stale_lease');
      },
      () => undefined,
    );
  }

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case 'task':
        this.#owner.onTask(message.task);
        break;
      case 'cancel':
        this.#owner.onCancel(message.taskId, message.fence, message.reason);
        break;
      case 'ok':
      case 'refused': {
        const waiting = this.#pending.get(message.re);
        if (!waiting) break;
        if (message.type === 'refused' && this.#comesAgain(message.re, waiting, message.problem.status)) break;
        this.#pending.delete(message.re);
        if (message.type === 'ok') waiting.resolve(message.result);
        else waiting.reject(new MusterApiError(message.problem));
        break;
      }
      case 'wanted':
        this.#owner.onWanted(message.wanted, message.reason);
        break;
      case 'drain':
        // The server closes the socket when it is ready; what is held goes on over the next connection.
        break;
      case 'welcome':
        break;
    }
  }

  /** What a server could not do just now, it is asked for again after a pause: a cost or a result must not get lost for that. */
  #comesAgain(seq: number, waiting: Pending, status: number): boolean {
    if (!waiting.lasting || !passes(status) || waiting.refusals >= maxRefusals) return false;
    waiting.again = setTimeout(
      () => {
        if (!this.#welcomed || this.#pending.get(seq) !== waiting) return;
        this.#outbox.push(waiting.message);
        this.#flushSoon();
      },
      backoffMs(waiting.refusals++, this.#times),
    );
    return true;
  }

  /** Null when it is not a frame. */
  #read(frame: unknown): ServerMessage[] | null {
    if (!Array.isArray(frame) || frame.length === 0) return null;
    const messages: ServerMessage[] = [];
    for (const raw of frame as unknown[]) {
      const quick = readServerQuickly(raw, (project) => this.#isKnown(project));
      if (quick !== null) {
        messages.push(quick);
        continue;
      }
      const parsed = serverMessage.safeParse(raw);
      if (!parsed.success) return null;
      messages.push(parsed.data);
      if (parsed.data.type !== 'task') continue;
      const { project } = parsed.data.task;
      if (this.#projects.size >= maxProjects) this.#projects.clear();
      this.#projects.set(project.id, project);
    }
    return messages;
  }

  #isKnown(given: unknown): boolean {
    if (typeof given !== 'object' || given === null) return false;
    const project = given as Readonly<Record<string, unknown>>;
    const known = typeof project['id'] === 'string' ? this.#projects.get(project['id']) : undefined;
    return (
      known !== undefined &&
      project['slug'] === known.slug &&
      project['branch'] === known.branch &&
      project['head'] === known.head &&
      project['gitPath'] === known.gitPath &&
      Object.keys(project).length === 5
    );
  }

  #ask(message: Outgoing, lasting: boolean): Promise<unknown> {
    if (this.#stop.signal.aborted) return Promise.reject(new Error('The agent has closed its connection.'));
    const numbered = { ...message, seq: this.#seq++ };
    return new Promise((resolve, reject) => {
      this.#pending.set(numbered.seq, { message: numbered, resolve, reject, lasting, refusals: 0, again: undefined });
      if (!this.#welcomed) return;
      this.#outbox.push(numbered);
      this.#flushSoon();
    });
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      if (this.#freed > 0 && this.#accepting && this.#welcomed)
        void this.#ask({ type: 'credit', count: Math.min(this.#freed, 1_000) }, false).catch(() => undefined);
      this.#freed = 0;
      this.#flushing = false;
      while (this.#welcomed && this.#outbox.length > 0) this.#socket?.send(JSON.stringify(this.#outbox.splice(0, 500)));
    });
  }
}

const parseJson = (data: Buffer): unknown => {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch {
    return undefined;
  }
};
