import { Logger, type OnModuleDestroy } from '@nestjs/common';
import { WebSocketGateway } from '@nestjs/websockets';
import { type StreamMessage, streamSubscribe } from '@muster/contracts';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { EventLog } from '#platform/eventlog';
import { NotFound, OwnedIds, Requires, type SubscribedSocket, SubscriptionGateway, toProblem } from '#platform/http';
import { readVisible, type Scope, scopeOf } from '../domain/visible-events.ts';

/** Events are read in these portions, and one portion is on its way at a time: that bounds what a slow reader costs. */
const PORTION = 100;
const FRAME_BYTES = 1024 * 1024;
/** A wake-up can be lost; then this one finds what there is. */
const LOOK_AGAIN_MS = 5_000;

type Subscribe = z.output<typeof streamSubscribe>;

/** `GET /api/stream`: the event log live, from any position on, nothing missed and nothing twice. */
@WebSocketGateway({ path: '/api/stream' })
@Requires('event.read')
export class StreamGateway extends SubscriptionGateway<typeof streamSubscribe> implements OnModuleDestroy {
  protected override readonly schema = streamSubscribe;
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

  onModuleDestroy(): void {
    this.#stopListening();
    clearInterval(this.#lookAgain);
    for (const reader of this.#readers) reader.stop();
    this.#readers.clear();
  }

  protected override async subscribe(socket: SubscribedSocket, actor: Actor, wanted: Subscribe): Promise<void> {
    if (wanted.projectId !== undefined) await this.assertVisible(actor, wanted.projectId);
    const scope = scopeOf(actor, wanted.types, wanted.projectId);
    const reader = new StreamReader(socket, this.log, scope, wanted.after ?? (await this.log.head()));
    if (!socket.open) return;
    this.#readers.add(reader);
    socket.gone.addEventListener('abort', () => {
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
    private readonly socket: SubscribedSocket,
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

  private send(message: StreamMessage): Promise<void> {
    return this.socket.send(message);
  }

  /** The reader resumes from the last position that it saw, so ending the connection loses nothing. */
  private fail(error: unknown): void {
    if (this.#stopped || !this.socket.open) return;
    if (toProblem(error).status >= 500) this.#logger.error({ err: error, message: 'A stream could not be read on.' });
    this.socket.refuse(error);
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
