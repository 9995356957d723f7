import { extractTree } from '@muster/gate';
import { PermanentError } from '@muster/sdk';
import { Readable } from 'node:stream';
import type { Settings } from './settings.ts';

/** A tree that a task names, from where the server has it, as files in a new folder. */
export async function fetchTree(
  { url, token }: Pick<Settings, 'url' | 'token'>,
  path: string,
  into: string,
  signal: AbortSignal,
): Promise<void> {
  const answer = await fetch(url + path, {
    headers: { authorization: `Bearer ${token}` },
    redirect: 'error',
    signal,
  });
  if (!answer.ok || answer.body === null) {
    const said = (await answer.text().catch(() => '')).slice(0, 500);
    const message = `${path} could not be fetched: ${answer.status} ${said}`;
    throw answer.status >= 400 && answer.status < 500 && answer.status !== 429
      ? new PermanentError(message)
      : new Error(message);
  }
  await extractTree(Readable.fromWeb(answer.body), into);
}
