import { problem as problemSchema } from '@muster/contracts';
import { WebSocket } from 'ws';
import { backoffMs, pause } from './backoff.ts';
import { MusterApiError } from './errors.ts';

/** A subscription of which there is more, in order, until it ends; how it is opened again is known to whoever asks. */
export interface Followed<T> {
  readonly path: string;
  /** Asked for on each connection: where to go on from is another one each time. */
  readonly subscribe: () => object;
  /** What one message holds; `open` says that the server has begun, `finished` that nothing else will come. */
  readonly read: (message: unknown) => {
    readonly items?: readonly T[];
    readonly open?: boolean;
    readonly finished?: boolean;
    readonly problem?: unknown;
  };
  /** What is missing where the server answers 403. */
  readonly permission: string;
  readonly signal?: AbortSignal | undefined;
}

/** A WebSocket does not come about here: something on the way knows none, or the server does not know this one. */
export class SocketUnavailable extends Error {
  override readonly name = 'SocketUnavailable';
}

/** More than this waits for whoever reads; then nothing more is taken from the connection, and so from the server. */
const mostWaiting = 1_000;

/** Follows a socket of the server. A lost connection is opened again, with backoff. */
export async function* follow<T>(
  url: string,
  token: (renew: boolean) => Promise<string>,
  { path, subscribe, read, permission, signal }: Followed<T>,
): AsyncGenerator<T, void, void> {
  let renew = false;
  for (let attempt = 0; !signal?.aborted; attempt += 1) {
    if (attempt > 0) await pause(backoffMs(attempt - 1, { firstMs: 100, maxMs: 3_000 }), signal);
    const inbox: T[] = [];
    let wake: () => void = () => undefined;
    let open = true;
    let finished = false;
    const refusals: Error[] = [];
    const socket = new WebSocket(url.replace(/^http/, 'ws') + path, {
      headers: { authorization: `Bearer ${await token(renew).catch(() => '')}` },
      handshakeTimeout: 10_000,
    });
    const ended = (): void => {
      open = false;
      wake();
    };
    const stop = (): void => socket.terminate();
    signal?.addEventListener('abort', stop, { once: true });
    socket.on('open', () => socket.send(JSON.stringify(subscribe())));
    const take = (message: unknown): void => {
      const { open: begun, items = [], finished: last, problem } = read(message);
      if (begun === true) attempt = 0;
      inbox.push(...items);
      finished ||= last === true;
      if (problem !== undefined) {
        const document = problemSchema.safeParse(problem);
        if (document.success && document.data.status < 500 && document.data.status !== 401)
          refusals.push(new MusterApiError(document.data));
      }
      if (finished || problem !== undefined) socket.terminate();
    };
    socket.on('message', (data: Buffer) => {
      try {
        const raw: unknown = JSON.parse(data.toString('utf8'));
        for (const message of Array.isArray(raw) ? raw : [raw]) take(message);
      } catch (cause) {
        refusals.push(new Error(`${url} tells at ${path} what this version of the SDK does not know.`, { cause }));
        socket.terminate();
      }
      if (inbox.length > mostWaiting) socket.pause();
      wake();
    });
    socket.on('unexpected-response', (_request, { statusCode = 0 }) => {
      renew = statusCode === 401 && !renew;
      const passes = renew || statusCode === 429 || statusCode >= 500;
      if (!passes)
        refusals.push(
          statusCode === 401 || statusCode === 403
            ? new Error(`${url} refuses ${path} with ${statusCode}. Check the token and its permission ${permission}.`)
            : new SocketUnavailable(`${url} answers ${statusCode} instead of opening a WebSocket at ${path}.`),
        );
      socket.terminate();
      ended();
    });
    socket.on('error', ended);
    socket.on('close', ended);
    try {
      while (open || inbox.length > 0) {
        const item = inbox.shift();
        if (item !== undefined) {
          yield item;
          continue;
        }
        if (finished) break;
        if (socket.isPaused) socket.resume();
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (!open || inbox.length > 0 || finished) resolve();
        });
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      socket.terminate();
    }
    if (finished) return;
    const [refusal] = refusals;
    if (refusal) throw refusal;
  }
}
