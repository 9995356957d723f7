import { MusterError } from './errors.ts';

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

/** A cursor is the sort key of the last row, opaque to callers; every list ends its order with the id as tie-breaker. */
export const encodeCursor = (key: readonly (string | number)[]): string =>
  Buffer.from(JSON.stringify(key)).toString('base64url');

export function decodeCursor(cursor: string, length: number): (string | number)[] {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (
      Array.isArray(key) &&
      key.length === length &&
      key.every((part) => typeof part === 'string' || typeof part === 'number')
    )
      return key;
  } catch {
    // not ours: refused below
  }
  throw new MusterError(
    'request.bad_cursor',
    400,
    'This cursor did not come from this list. Start again without ?cursor=.',
  );
}
