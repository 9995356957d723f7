import { Logger, type OnModuleDestroy } from '@nestjs/common';
import { WebSocketGateway } from '@nestjs/websockets';
import { type StreamMessage, streamSubscribe } from '@muster/contracts';
import type { RawData, WebSocket } from 'ws';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { EventLog } from '#platform/eventlog';
import { NotFound, OwnedIds, Requires, SocketGateway, toFieldError, toProblem } from '#platform/http';
import { readVisible, type Scope, scopeOf } from '../domain/visible-events.ts';
import { SubscribedAlready, SubscriptionInvalid, SubscriptionLate } from '../events.errors.ts';

/** How long a connection may stay without a subscription. */
const SUBSCRIBE_MS = 10_000;
/** A batch that is not taken off our hands for this long means that nobody reads any more. */
const STALLED_MS = 60_000;
/** Events are read in these portions, and one portion is on its way at a time: that bounds what a slow reader costs. */
const PORTION = 100;
const FRAME_BYTES = 1024 * 1024;
/** A wake-up can be lost; then this one finds what there is. */
const LOOK_AGAIN_MS = 5_000;

type Subscribe = z.output<typeof streamSubscribe>;

/** `GET /api/stream`: the event log live, from any position on, nothing missed and nothing twice. */
@WebSocketGateway({ path: '/api/stream' })
@Requires('event.read')
export class StreamGateway extends SocketGateway implements OnModuleDestroy {
  readonly #readers = new Set<StreamReader>();
  readonly #stopListening: () => void;
  readonly #lookAgain: NodeJS.Timeout;

  constructor(
    private readonly log: EventLog,
    private readonly ownedIds: OwnedIds,
  ) {
    super();
    this.#stopListening = log.onAdvance(() => this.wakeAll());
    this.#lookAgain = setInterval(() => this.wakeAll(), LOOK_AGAIN_MS).unref();
  }

  protected override onConnection(socket: WebSocket, actor: Actor): void {
    let subscribed = false;
    const late = setTimeout(() => refuse(socket, new SubscriptionLate()), SUBSCRIBE_MS).unref();
    socket.on('error', () => socket.terminate());
    socket.on('close', () => clearTimeout(late));
    socket.on('message', (raw, isBinary) => {
      clearTimeout(late);
      if (subscribed) return refuse(socket, new SubscribedAlready());
      subscribed = true;
      this.subscribe(socket, actor, raw, isBinary).catch((error: unknown) => refuse(socket, error));
    });
  }

  onModuleDestroy(): void {
    this.#stopListening();
    clearInterval(this.#lookAgain);
    for (const reader of this.#readers) reader.stop();
    this.#readers.clear();
  }

  private async subscribe(socket: WebSocket, actor: Actor, raw: RawData, isBinary: boolean): Promise<void> {
    const wanted = read(raw, isBinary);
    if (wanted.projectId !== undefined) await this.assertVisible(actor, wanted.projectId);
    const scope = scopeOf(actor, wanted.types, wanted.projectId);
    const reader = new StreamReader(socket, this.log, scope, wanted.after ?? (await this.log.head()));
    if (socket.readyState !== socket.OPEN) return;
    this.#readers.add(reader);
    socket.on('close', () => {
      reader.stop();
      this.#readers.delete(reader);
    });
    reader.start();
  }

  private async assertVisible(actor: Actor, projectId: string): Promise<void> {
    const [owner] = await this.ownedIds.owners([projectId], actor.teamId);
    const sees = owner?.teamId === actor.teamId && scopeOf(actor, [], projectId).projects.length > 0;
    if (!sees) throw new NotFound();
  }

  private wakeAll(): void {
    for (const reader of this.#readers) reader.wake();
  }
}

/** One subscriber: reads the log in order and sends a portion when the one before has left the process. */
class StreamReader {
  readonly #logger = new Logger('stream');
  #reading = false;
  #again = false;
  #stopped = false;

  constructor(
    private readonly socket: WebSocket,
    private readonly log: EventLog,
    private readonly scope: Scope,
    private position: number,
  ) {}

  start(): void {
    this.#reading = true;
    void this.send({ type: 'subscribed', position: this.position })
      .then(() => this.follow())
      .catch((error: unknown) => this.fail(error));
  }

  wake(): void {
    this.#again = true;
    if (this.#reading || this.#stopped) return;
    this.#reading = true;
    void this.follow().catch((error: unknown) => this.fail(error));
  }

  stop(): void {
    this.#stopped = true;
  }

  private async follow(): Promise<void> {
    do {
      this.#again = false;
      for (let more = true; more && !this.#stopped;) {
        const portion = await readVisible(this.log, this.scope, this.position, PORTION);
        for (const events of framesOf(portion.events)) await this.send({ type: 'events', events });
        this.position = portion.position;
        more = portion.more;
      }
    } while (this.#again && !this.#stopped);
    this.#reading = false;
  }

  /** Done when the socket has taken all of it. */
  private send(message: StreamMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      const stalled = setTimeout(() => this.socket.terminate(), STALLED_MS).unref();
      this.socket.send(JSON.stringify(message), (error) => {
        clearTimeout(stalled);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** The reader resumes from the last position that it saw, so ending the connection loses nothing. */
  private fail(error: unknown): void {
    if (this.#stopped || this.socket.readyState !== this.socket.OPEN) return;
    if (toProblem(error).status >= 500) this.#logger.error({ err: error, message: 'A stream could not be read on.' });
    refuse(this.socket, error);
  }
}

type Events = Extract<StreamMessage, { type: 'events' }>['events'];

/** Cuts a portion where the next event would make the frame too large. */
function framesOf(events: Events): Events[] {
  const frames: Events[] = [];
  let bytes = Infinity;
  for (const event of events) {
    const weight = Buffer.byteLength(JSON.stringify(event.data)) + 500;
    if (bytes + weight > FRAME_BYTES) {
      frames.push([]);
      bytes = 0;
    }
    frames.at(-1)?.push(event);
    bytes += weight;
  }
  return frames;
}

function read(raw: RawData, isBinary: boolean): Subscribe {
  let message: unknown;
  try {
    if (isBinary || !Buffer.isBuffer(raw)) throw new SyntaxError('binary');
    message = JSON.parse(raw.toString('utf8'));
  } catch {
    throw new SubscriptionInvalid([{ path: '', message: 'is not JSON text' }]);
  }
  const parsed = streamSubscribe.safeParse(message);
  if (!parsed.success) throw new SubscriptionInvalid(parsed.error.issues.slice(0, 20).map(toFieldError));
  return parsed.data;
}

/** Says why, then closes: 4400 for the client's mistakes, 1011 for ours. */
function refuse(socket: WebSocket, error: unknown): void {
  if (socket.readyState !== socket.OPEN) return;
  const problem = toProblem(error);
  socket.send(JSON.stringify({ type: 'error', problem } satisfies StreamMessage));
  socket.close(problem.status < 500 ? 4400 : 1011, problem.code);
}
