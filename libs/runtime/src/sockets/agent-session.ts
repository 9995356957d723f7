import {
  agentMessage,
  readQuickly,
  type AgentMessage,
  type InstanceWish,
  type Permission,
  type Problem,
  type ServerMessage,
} from '@muster/contracts';
import type { CommandBus } from '@nestjs/cqrs';
import type { WebSocket } from 'ws';
import type { Actor } from '#messages/auth';
import { isNestedTooDeep, maxNesting, NotAllowed, toProblem, visibleProjects } from '#platform/http';
import { MusterError } from '#kernel';
import { AppendLog } from '../commands/append-log.ts';
import { CompleteAttempt, type KnownAttempt } from '../commands/complete-attempt.ts';
import { ConnectInstance } from '../commands/connect-instance.ts';
import { DisconnectInstance } from '../commands/disconnect-instance.ts';
import { FailAttempt } from '../commands/fail-attempt.ts';
import { ReleaseAttempt } from '../commands/release-attempt.ts';
import { RenewLeases } from '../commands/renew-leases.ts';
import { ReportCost } from '../commands/report-cost.ts';
import { ReportProgress } from '../commands/report-progress.ts';
import { SaveCheckpoint } from '../commands/save-checkpoint.ts';
import type { Offer } from '../dispatch/assignments.ts';
import { roomOf } from '../dispatch/claims.ts';
import type { Dispatcher, Receiver } from '../dispatch/dispatcher.ts';
import type { Ordered } from '../dispatch/instance-orders.ts';
import type { EndedAttempt } from '../dispatch/wake-ups.ts';
import { heartbeatMsFor, silentAfterSeconds } from '../domain/lease-rules.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import type { Ended } from '../domain/verb-answers.ts';
import { AlreadyConnected, HelloFirst } from '../runtime.errors.ts';
import type { Claimed } from '../sql/claim.ts';
import type { Holder, OpenAttempt } from '../sql/leases.ts';

/** Messages, and bytes of them, that may wait for their turn; then the socket is read no further until all are done. */
const pauseAt = 4_000;
const pauseAtBytes = 8 * 1024 * 1024;
/** Messages of one agent that are being worked on at once; those about one task go one after another. */
const maxAtOnce = 2_000;
/** Messages of one frame, as in the contract. */
const maxPerFrame = 1_000;
/** An agent that does not read its socket is cut off here. */
const maxUnsentBytes = 16 * 1024 * 1024;

/** What every message needs; a verb that is missing here does not compile. */
export const verbPermissions: { readonly [Verb in AgentMessage['type']]: Permission } = {
  hello: 'instance.connect',
  credit: 'instance.connect',
  heartbeat: 'instance.connect',
  progress: 'instance.connect',
  log: 'instance.connect',
  cost: 'instance.connect',
  checkpoint: 'instance.connect',
  complete: 'instance.connect',
  fail: 'instance.connect',
  release: 'instance.connect',
  bye: 'instance.connect',
};

export interface SessionParts {
  readonly commands: CommandBus;
  readonly dispatcher: Dispatcher;
  readonly leaseSeconds: number;
  /** Called once the instance is known, before it is welcomed; answers with what it still holds. */
  welcomed(session: AgentSession, instance: InstanceRow): Promise<readonly OpenAttempt[]>;
  capabilityOf(lane: number): string | undefined;
  /** Straight to the handler: the bus costs more than the rest of it. */
  complete(command: CompleteAttempt): Promise<Ended>;
  warn(error: unknown, message: string): void;
}

/** One agent's socket: its messages in order for each task, side by side for different ones; its answers in frames of as many as there are. */
export class AgentSession implements Receiver, Ordered {
  wanted: InstanceWish = 'run';
  /** How many tasks it has asked for and not been given. */
  private credit = 0;
  private row: InstanceRow | null = null;
  private readonly holding = new Map<string, { readonly fence: number; readonly lane: number }>();
  private inbox: unknown[] = [];
  /** Messages as JSON. */
  private outbox: string[] = [];
  /** The last message about each task that is being worked on. */
  private readonly lastOf = new Map<string, Promise<void>>();
  private atOnce = 0;
  private fewer: (() => void) | null = null;
  private beating = false;
  private nextBeat: { held: Held; readonly answer: PromiseWithResolvers<BeatResult> } | null = null;
  private working = false;
  private waitingBytes = 0;
  private paused = false;
  private heardAt = performance.now();
  private flushing = false;
  private saidBye = false;
  private closed = false;

  constructor(
    private readonly socket: WebSocket,
    readonly actor: Actor,
    private readonly parts: SessionParts,
  ) {
    socket.on('message', (data, isBinary) => this.receive(data as Buffer, isBinary));
    socket.on('close', () => void this.onClose());
  }

  get instance(): InstanceRow {
    if (this.row === null) throw new HelloFirst();
    return this.row;
  }

  get instanceId(): string | null {
    return this.row?.id ?? null;
  }

  get room(): number {
    return this.row === null || this.wanted !== 'run' ? 0 : Math.min(this.credit, roomOf(this.row) - this.holding.size);
  }

  get load(): number {
    return this.row === null ? 1 : this.holding.size / roomOf(this.row);
  }

  expect(tasks: readonly Claimed[]): void {
    this.credit = Math.max(0, this.credit - tasks.length);
    for (const { task_id, fence, lane } of tasks) this.holding.set(task_id, { fence, lane });
  }

  offer(tasks: readonly Offer[]): boolean {
    if (this.closed || this.saidBye) return false;
    for (const { taskId, fence, text } of tasks)
      if (this.holding.get(taskId)?.fence === fence) this.outbox.push(`{"type":"task","task":${text}}`);
    // Not at the end of the turn: whoever made them is answered in it, and an agent that can begin comes first.
    this.flush();
    return true;
  }

  held(): readonly { taskId: string; fence: number }[] {
    return [...this.holding].map(([taskId, { fence }]) => ({ taskId, fence }));
  }

  stop({ taskId, fence, reason }: EndedAttempt): void {
    if (this.holding.get(taskId)?.fence !== fence) return;
    this.holding.delete(taskId);
    this.send({ type: 'cancel', taskId, fence, reason });
  }

  forget(taskId: string, fence: number): void {
    if (this.holding.get(taskId)?.fence === fence) this.holding.delete(taskId);
  }

  order(wanted: InstanceWish, reason: string | null): void {
    this.wanted = wanted;
    this.send({ type: 'wanted', wanted, reason });
  }

  drain(reason: string): void {
    this.credit = 0;
    this.send({ type: 'drain', reason });
    this.flush();
  }

  /** Another connection speaks for this instance now. */
  replace(): void {
    this.parts.dispatcher.remove(this);
    this.socket.close(4001, 'replaced by a newer connection');
  }

  async touch(): Promise<boolean> {
    const silentFor = performance.now() - this.heardAt;
    if (this.row === null || this.closed || silentFor > silentAfterSeconds(this.parts.leaseSeconds) * 1000)
      return false;
    await this.parts.commands.execute(new RenewLeases(this.actor.id, this.row.id, this.row.connection, []));
    return true;
  }

  private receive(data: Buffer, isBinary: boolean): void {
    this.heardAt = performance.now();
    if (isBinary) {
      this.socket.close(1003, 'frames are text');
      return;
    }
    let frame: unknown;
    try {
      frame = JSON.parse(data.toString('utf8'));
    } catch {
      this.socket.close(1007, 'a frame is a JSON array of messages');
      return;
    }
    if (!Array.isArray(frame) || frame.length === 0 || frame.length > maxPerFrame) {
      this.refuse(0, invalid([{ path: '', message: `a frame is a JSON array of 1 to ${maxPerFrame} messages` }]));
      return;
    }
    this.inbox.push(...(frame as unknown[]));
    this.waitingBytes += data.length;
    if ((this.inbox.length > pauseAt || this.waitingBytes > pauseAtBytes) && !this.paused) {
      this.paused = true;
      this.socket.pause();
    }
    if (!this.working) {
      void this.work().catch((error: unknown) => {
        this.parts.warn(error, 'a message broke its session');
        this.socket.close(1011, 'server error');
      });
    }
  }

  private async work(): Promise<void> {
    this.working = true;
    try {
      while (this.inbox.length > 0 && !this.closed) {
        const messages = this.inbox;
        this.inbox = [];
        for (const raw of messages) {
          if (this.closed) return;
          const message = this.read(raw);
          if (message === null) continue;
          if (message.type === 'hello') await this.handle(message);
          else if (message.type === 'bye') {
            await this.untilAtMost(0);
            await this.handle(message);
          } else {
            this.begin(message);
            if (this.atOnce >= maxAtOnce) await this.untilAtMost(maxAtOnce / 2);
          }
        }
      }
    } finally {
      this.working = false;
      this.waitingBytes = 0;
      if (this.paused && !this.closed) {
        this.paused = false;
        this.socket.resume();
      }
    }
  }

  /** Begins to work on it, after what came before it about the same task. */
  private begin(message: AgentMessage): void {
    if (message.type === 'credit') {
      this.grant(message);
      return;
    }
    this.atOnce += 1;
    const taskId = 'taskId' in message ? message.taskId : null;
    const before = taskId === null ? undefined : this.lastOf.get(taskId);
    const work = (before === undefined ? this.handle(message) : before.then(() => this.handle(message))).then(() => {
      this.atOnce -= 1;
      if (taskId !== null && this.lastOf.get(taskId) === work) this.lastOf.delete(taskId);
      this.fewer?.();
    });
    if (taskId !== null) this.lastOf.set(taskId, work);
  }

  private async untilAtMost(count: number): Promise<void> {
    while (this.atOnce > count) {
      await new Promise<void>((resolve) => (this.fewer = resolve));
      this.fewer = null;
    }
  }

  private grant(message: Extract<AgentMessage, { type: 'credit' }>): void {
    try {
      this.assertAllowed(message.type);
      if (this.row === null) throw new HelloFirst();
      // Zero takes back what was asked for: an agent that drains.
      this.credit = message.count === 0 ? 0 : Math.min(this.credit + message.count, this.instance.capacity);
      if (this.credit > 0) this.parts.dispatcher.poke();
      this.sendText(`{"type":"ok","re":${message.seq}}`);
    } catch (error) {
      this.refuse(message.seq, toProblem(error));
    }
  }

  private assertAllowed(type: AgentMessage['type']): void {
    const permission = verbPermissions[type];
    if (visibleProjects(this.actor, permission).length === 0) throw new NotAllowed(permission);
  }

  /** Null when it was refused as it stands. */
  private read(raw: unknown): AgentMessage | null {
    const quick = readQuickly(raw);
    if (quick !== null) return quick;
    // Before the schema looks at it: it recurses.
    if (isNestedTooDeep(raw)) {
      this.refuse(seqOf(raw), invalid([{ path: '', message: `is nested deeper than ${maxNesting} levels` }]));
      return null;
    }
    const parsed = agentMessage.safeParse(raw);
    if (!parsed.success) {
      this.refuse(
        seqOf(raw),
        invalid(
          parsed.error.issues
            .slice(0, 20)
            .map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message })),
        ),
      );
      return null;
    }
    return parsed.data;
  }

  private async handle(message: AgentMessage): Promise<void> {
    try {
      this.assertAllowed(message.type);
      const result = await this.perform(message);
      if (message.type === 'complete')
        // What every completion is answered; ids need no escape.
        this.sendText(
          `{"type":"ok","re":${message.seq},"result":{"taskId":"${message.taskId}","fence":${message.fence},"state":"succeeded","retryAt":null}}`,
        );
      else if (message.type !== 'hello')
        this.send({ type: 'ok', re: message.seq, ...(result === undefined ? {} : { result }) });
    } catch (error) {
      const problem = toProblem(error);
      if (problem.status >= 500) this.parts.warn(error, `could not ${message.type}`);
      this.refuse(message.seq, problem);
      if (problem.code === 'runtime.stale_lease' && 'fence' in message)
        this.stop({ taskId: message.taskId, fence: message.fence, reason: 'stale_lease' });
    }
  }

  private async perform(message: AgentMessage): Promise<Json | undefined> {
    if (message.type !== 'hello' && this.row === null) throw new HelloFirst();
    switch (message.type) {
      case 'hello': {
        if (this.row !== null) throw new AlreadyConnected();
        const { type: _type, seq, ...hello } = message;
        const row = await this.parts.commands.execute(new ConnectInstance(this.actor, hello, 'socket'));
        for (const { taskId, fence, lane } of await this.parts.welcomed(this, row))
          this.holding.set(taskId, { fence, lane });
        this.row = row;
        this.send({
          type: 'welcome',
          re: seq,
          instanceId: row.id,
          leaseMs: this.parts.leaseSeconds * 1000,
          heartbeatMs: heartbeatMsFor(this.parts.leaseSeconds),
        });
        if (row.wanted !== 'run') this.order(row.wanted, row.wanted_reason);
        if (this.closed)
          await this.parts.commands.execute(new DisconnectInstance(row.id, row.connection, { kind: 'lost' }));
        else this.parts.dispatcher.add(this);
        return undefined;
      }
      case 'credit':
        this.grant(message);
        return undefined;
      case 'heartbeat': {
        const { stale } = await this.beat(message.held);
        for (const lease of stale) {
          this.forget(lease.taskId, lease.fence);
          this.send({ type: 'cancel', ...lease, reason: 'stale_lease' });
        }
        return { stale };
      }
      case 'progress': {
        const { type: _type, seq: _seq, taskId, fence, ...body } = message;
        return { ...(await this.parts.commands.execute(new ReportProgress(this.by(taskId, fence), body))) };
      }
      case 'log': {
        const { type: _type, seq: _seq, taskId, fence, ...body } = message;
        return { ...(await this.parts.commands.execute(new AppendLog(this.by(taskId, fence), body))) };
      }
      case 'cost': {
        const { type: _type, seq: _seq, taskId, fence, ...body } = message;
        return { ...(await this.parts.commands.execute(new ReportCost(this.by(taskId, fence), body))) };
      }
      case 'checkpoint': {
        const { type: _type, seq: _seq, taskId, fence, ...body } = message;
        return { ...(await this.parts.commands.execute(new SaveCheckpoint(this.by(taskId, fence), body))) };
      }
      case 'complete': {
        const { taskId, fence, output } = message;
        await this.parts.complete(new CompleteAttempt(this.by(taskId, fence), { output }, this.known(taskId, fence)));
        this.forget(taskId, fence);
        return undefined;
      }
      case 'fail': {
        const { type: _type, seq: _seq, taskId, fence, ...body } = message;
        const ended = await this.parts.commands.execute(new FailAttempt(this.by(taskId, fence), body));
        this.forget(taskId, fence);
        return { ...ended };
      }
      case 'release': {
        const { type: _type, seq: _seq, taskId, fence, ...body } = message;
        const ended = await this.parts.commands.execute(new ReleaseAttempt(this.by(taskId, fence), body));
        this.forget(taskId, fence);
        return { ...ended };
      }
      case 'bye': {
        this.saidBye = true;
        this.credit = 0;
        this.parts.dispatcher.remove(this);
        const { id, connection } = this.instance;
        const { released } = await this.parts.commands.execute(
          new DisconnectInstance(id, connection, { kind: 'bye', reason: message.reason }),
        );
        this.holding.clear();
        return { released };
      }
    }
  }

  /** One beat at a time; those that come meanwhile are answered by one more, with what the last of them holds. */
  private beat(held: Held): Promise<BeatResult> {
    if (this.beating) {
      this.nextBeat ??= { held, answer: Promise.withResolvers<BeatResult>() };
      this.nextBeat.held = held;
      return this.nextBeat.answer.promise;
    }
    this.beating = true;
    const { id, connection } = this.instance;
    return this.parts.commands.execute(new RenewLeases(this.actor.id, id, connection, held)).finally(() => {
      this.beating = false;
      const next = this.nextBeat;
      this.nextBeat = null;
      if (next !== null) this.beat(next.held).then(next.answer.resolve, next.answer.reject);
    });
  }

  private known(taskId: string, fence: number): KnownAttempt | null {
    const held = this.holding.get(taskId);
    if (held?.fence !== fence) return null;
    const capability = this.parts.capabilityOf(held.lane);
    return capability === undefined ? null : { capability, outputSchema: this.instance.output_schemas[capability] };
  }

  private by(taskId: string, fence: number): Holder {
    return { actorId: this.actor.id, taskId, fence };
  }

  private refuse(re: number, problem: Problem): void {
    this.send({ type: 'refused', re, problem });
  }

  /** What is sent in one turn of the event loop shares a frame. */
  private send(message: ServerMessage): void {
    this.sendText(JSON.stringify(message));
  }

  private sendText(message: string): void {
    if (this.closed) return;
    this.outbox.push(message);
    if (this.flushing) return;
    this.flushing = true;
    setImmediate(() => this.flush());
  }

  private flush(): void {
    this.flushing = false;
    if (this.closed || this.outbox.length === 0) return;
    const frame = `[${this.outbox.join(',')}]`;
    this.outbox = [];
    this.socket.send(frame);
    if (this.socket.bufferedAmount > maxUnsentBytes) this.socket.terminate();
  }

  private async onClose(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.parts.dispatcher.remove(this);
    if (this.row === null || this.saidBye) return;
    try {
      await this.parts.commands.execute(new DisconnectInstance(this.row.id, this.row.connection, { kind: 'lost' }));
    } catch (error) {
      this.parts.warn(error, 'could not mark an instance offline; the sweep will');
    }
  }
}

type Held = RenewLeases['held'];
interface BeatResult {
  readonly stale: { taskId: string; fence: number }[];
}
type Json = Exclude<Extract<ServerMessage, { type: 'ok' }>['result'], undefined>;

const invalid = (errors: { path: string; message: string }[]): Problem =>
  toProblem(
    new MusterError(
      'request.invalid',
      400,
      'The message is not one of the agent protocol. Correct the fields named in errors.',
      { errors },
    ),
  );

function seqOf(raw: unknown): number {
  const seq = typeof raw === 'object' && raw !== null && 'seq' in raw ? raw.seq : 0;
  return typeof seq === 'number' && Number.isInteger(seq) && seq >= 0 ? seq : 0;
}
