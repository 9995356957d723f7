import type { RawData, WebSocket } from 'ws';
import type { z } from 'zod';
import type { Actor } from '#messages/auth';
import { SubscribedAlready, SubscriptionInvalid, SubscriptionLate } from './http.errors.ts';
import { toProblem } from './problem.filter.ts';
import { SocketGateway } from './socket-gateway.ts';
import { toFieldError } from './validation.ts';

/** How long a connection may stay without a subscription. */
const subscribeMs = 10_000;
/** A message that is not taken off our hands for this long means that nobody reads any more. */
const stalledMs = 60_000;

/** A gateway whose clients say once what they want to be told, and then listen. */
export abstract class SubscriptionGateway<Subscribe extends z.ZodType> extends SocketGateway {
  protected abstract readonly schema: Subscribe;

  /** Whatever it throws is said to the client, and ends the connection. */
  protected abstract subscribe(socket: SubscribedSocket, actor: Actor, wanted: z.output<Subscribe>): Promise<void>;

  protected override onConnection(socket: WebSocket, actor: Actor): void {
    let subscribed = false;
    const told = new SubscribedSocket(socket);
    const late = setTimeout(() => told.refuse(new SubscriptionLate()), subscribeMs).unref();
    socket.on('error', () => socket.terminate());
    socket.on('close', () => clearTimeout(late));
    socket.on('message', (raw, isBinary) => {
      clearTimeout(late);
      if (subscribed) return told.refuse(new SubscribedAlready());
      subscribed = true;
      this.#begin(told, actor, raw, isBinary).catch((error: unknown) => told.refuse(error));
    });
  }

  async #begin(socket: SubscribedSocket, actor: Actor, raw: RawData, isBinary: boolean): Promise<void> {
    await this.subscribe(socket, actor, this.#read(raw, isBinary));
  }

  #read(raw: RawData, isBinary: boolean): z.output<Subscribe> {
    let message: unknown;
    try {
      if (isBinary || !Buffer.isBuffer(raw)) throw new SyntaxError('binary');
      message = JSON.parse(raw.toString('utf8'));
    } catch {
      throw new SubscriptionInvalid([{ path: '', message: 'is not JSON text' }]);
    }
    const parsed = this.schema.safeParse(message);
    if (!parsed.success) throw new SubscriptionInvalid(parsed.error.issues.slice(0, 20).map(toFieldError));
    return parsed.data;
  }
}

/** What a gateway tells one subscriber by. Waiting for each message before the next is read bounds what a slow reader costs. */
export class SubscribedSocket {
  readonly #socket: WebSocket;
  readonly #gone = new AbortController();

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.once('close', () => this.#gone.abort());
  }

  /** Aborts when nobody listens any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** False from the first word of a goodbye on, whoever says it. */
  get open(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** Done when the connection has taken all of it. */
  send(message: object): Promise<void> {
    return new Promise((resolve, reject) => {
      const stalled = setTimeout(() => this.#socket.terminate(), stalledMs).unref();
      this.#socket.send(JSON.stringify(message), (error) => {
        clearTimeout(stalled);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** Everything was told. */
  end(): void {
    this.#socket.close(1000, 'finished');
  }

  /** Says why, then closes: 4400 for the client's mistakes, 1011 for ours. */
  refuse(error: unknown): void {
    if (!this.open) return;
    const problem = toProblem(error);
    this.#socket.send(JSON.stringify({ type: 'error', problem }));
    this.#socket.close(problem.status < 500 ? 4400 : 1011, problem.code);
    this.#gone.abort();
  }
}
