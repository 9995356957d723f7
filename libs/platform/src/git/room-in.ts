import { once } from 'node:events';

/** Until a stream takes more, or no more at all; leaves no listener behind, of which a large file would leave thousands. */
export async function roomIn(stream: NodeJS.EventEmitter): Promise<void> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]);
  } finally {
    settled.abort();
  }
}
