import { verificationLogMessage, type VerificationLog, type VerificationLogSubscribe } from '@muster/contracts';
import { follow, SocketUnavailable } from './followed-socket.ts';

export type LogItem = VerificationLog['items'][number];
export interface LogFollowing {
  readonly check?: string | undefined;
  /** The position of the last item that was seen; without it from the beginning on. */
  readonly after?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What checks print, pushed as they print it. A lost connection is taken up again behind the last item that was handed out; where no
 * WebSocket comes about, `ask` reads on with requests that stay open.
 */
export async function* followLog(
  url: string,
  token: (renew: boolean) => Promise<string>,
  verificationId: string,
  { check, after = 0, signal }: LogFollowing,
  ask: (after: number) => Promise<VerificationLog>,
): AsyncGenerator<LogItem, void, void> {
  let position = after;
  const pushed = follow<LogItem>(url, token, {
    path: '/api/verifications/logs',
    permission: 'verification.read',
    signal,
    subscribe: () =>
      ({
        type: 'subscribe',
        verificationId,
        ...(check === undefined ? {} : { check }),
        after: position,
      }) satisfies VerificationLogSubscribe,
    read: (raw) => {
      const message = verificationLogMessage.parse(raw);
      switch (message.type) {
        case 'subscribed':
          return { open: true };
        case 'log':
          return message;
        case 'error':
          return { problem: message.problem };
      }
    },
  });
  try {
    for await (const item of pushed) {
      if (item.position <= position) continue;
      ({ position } = item);
      yield item;
    }
    return;
  } catch (error) {
    if (!(error instanceof SocketUnavailable)) throw error;
  }
  while (signal?.aborted !== true) {
    const page = await ask(position);
    yield* page.items;
    if (page.finished) return;
    ({ position } = page);
  }
}
