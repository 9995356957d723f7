import { streamMessage, type CloudEvent } from '@muster/contracts';
import { follow } from './followed-socket.ts';

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

/** Follows GET /api/stream. A lost connection is taken up again behind the last event that was handed out. */
export async function* subscribe(
  url: string,
  token: (renew: boolean) => Promise<string>,
  { projectId, types, after, signal, onSubscribed }: Subscription,
): AsyncGenerator<CloudEvent, void, void> {
  let cursor = after;
  const events = follow<CloudEvent>(url, token, {
    path: '/api/stream',
    permission: 'event.read',
    signal,
    subscribe: () => ({
      type: 'subscribe',
      ...(projectId === undefined ? {} : { projectId }),
      types: types ?? [],
      ...(cursor === undefined ? {} : { after: cursor }),
    }),
    read: (raw) => {
      const message = streamMessage.parse(raw);
      switch (message.type) {
        case 'subscribed':
          cursor ??= message.position;
          onSubscribed?.(message.position);
          return { open: true };
        case 'events':
          return { items: message.events };
        case 'error':
          return { problem: message.problem };
      }
    },
  });
  for await (const event of events) {
    if (cursor !== undefined && event.position <= cursor) continue;
    cursor = event.position;
    yield event;
  }
}
