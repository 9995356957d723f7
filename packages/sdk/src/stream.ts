import { problem as problemSchema, streamMessage, type CloudEvent } from '@muster/contracts';
import { WebSocket } from 'ws';
import { backoffMs, pause } from './backoff.ts';
import { MusterApiError } from './errors.ts';

export interface Subscription {
  readonly projectId?: string | undefined;
  /** Exact types, or a prefix as in `task.*`; none means all. */
  readonly types?: readonly string[] | undefined;
  /** Position of the last event seen. Without it the stream starts now. */
  readonly after?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told when the stream starts and each time it comes back. */
  readonly onSubscribed?: ((position: number) => void) | undefined;
}

const socketUrl = (url: string, path: string): string => url.replace(/^http/, 'ws') + path;

/** Follows GET /api/stream. A lost connection is taken up again behind the last event that was handed out. */
export async function* subscribe(
  url: string,
  token: (renew: boolean) => Promise<string>,
  subscription: Subscription,
): AsyncGenerator<CloudEvent, void, void> {
  let cursor = subscription.after;
  let renew = false;
  for (let attempt = 0; !subscription.signal?.aborted; attempt += 1) {
    if (attempt > 0) await pause(backoffMs(attempt - 1, { firstMs: 100, maxMs: 3_000 }), subscription.signal);
    const inbox: CloudEvent[] = [];
    let wake: () => void = () => undefined;
    let open = true;
    const refusals: Error[] = [];
    const socket = new WebSocket(socketUrl(url, '/api/stream'), {
      headers: { authorization: `Bearer ${await token(renew).catch(() => '')}` },
      handshakeTimeout: 10_000,
    });
    const ended = (): void => {
      open = false;
      wake();
    };
    const stop = (): void => socket.terminate();
    subscription.signal?.addEventListener('abort', stop, { once: true });
    socket.on('open', () =>
      socket.send(
        JSON.stringify({
          type: 'subscribe',
          ...(subscription.projectId === undefined ? {} : { projectId: subscription.projectId }),
          types: subscription.types ?? [],
          ...(cursor === undefined ? {} : { after: cursor }),
        }),
      ),
    );
    socket.on('message', (data: Buffer) => {
      const raw: unknown = JSON.parse(data.toString('utf8'));
      for (const item of Array.isArray(raw) ? raw : [raw]) {
        const message = streamMessage.parse(item);
        switch (message.type) {
          case 'subscribed':
            attempt = 0;
            cursor ??= message.position;
            subscription.onSubscribed?.(message.position);
            break;
          case 'events':
            inbox.push(...message.events);
            wake();
            break;
          case 'error': {
            const document = problemSchema.safeParse(message.problem);
            if (document.success && document.data.status < 500 && document.data.status !== 401)
              refusals.push(new MusterApiError(document.data));
            socket.terminate();
            break;
          }
        }
      }
    });
    socket.on('unexpected-response', (_request, response) => {
      renew = response.statusCode === 401 && !renew;
      const status = response.statusCode ?? 0;
      if (!renew && status >= 400 && status < 500 && status !== 429)
        refusals.push(
          new Error(`${url} refuses the event stream with ${status}. Check the token and its permission event.read.`),
        );
      socket.terminate();
      ended();
    });
    socket.on('error', ended);
    socket.on('close', ended);
    try {
      while (open || inbox.length > 0) {
        const event = inbox.shift();
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (!open || inbox.length > 0) resolve();
          });
          continue;
        }
        if (cursor !== undefined && event.position <= cursor) continue;
        cursor = event.position;
        yield event;
      }
    } finally {
      subscription.signal?.removeEventListener('abort', stop);
      socket.terminate();
    }
    const [refusal] = refusals;
    if (refusal) throw refusal;
  }
}
