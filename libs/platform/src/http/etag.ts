import { createHash } from 'node:crypto';
import { PreconditionFailed } from './http.errors.ts';

/** A strong ETag of anything that prints as JSON. */
export const etagOf = (view: unknown): string =>
  `"${createHash('sha256').update(JSON.stringify(view)).digest('base64url').slice(0, 27)}"`;

/** Refuses (412) an update of something that changed since the caller read it. No `If-Match`: the caller does not mind. */
export function assertIfMatch(ifMatch: string | undefined, current: string): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return;
  const wanted = ifMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (!wanted.includes(current)) throw new PreconditionFailed();
}
