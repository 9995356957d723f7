/** What stands in a lock, as somebody may have written it who means no good: of the shape that is asked for, or nothing. */
export type Json = Record<string, unknown>;
export const record = (value: unknown): Json =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : {};
/** The object that a text of JSON holds; null: none. */
export function readRecord(json: string): Json | null {
  try {
    const value: unknown = JSON.parse(json.replace(/^\uFEFF/, ''));
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : null;
  } catch {
    return null;
  }
}
export const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/** `name@rest`, where the name may begin with a scope's @. */
export function nameAndRest(id: string): [name: string, rest: string] {
  const at = id.indexOf('@', 1);
  return at < 0 ? [id, ''] : [id.slice(0, at), id.slice(at + 1)];
}
