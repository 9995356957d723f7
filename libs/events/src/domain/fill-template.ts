/** What a filled-in input may weigh as JSON: a template can name the same data many times. */
const LIMIT_BYTES = 1024 * 1024;

export class InputTooLarge extends Error {
  constructor() {
    super(`The trigger's input would be larger than ${LIMIT_BYTES} bytes.`);
    this.name = 'InputTooLarge';
  }
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** A field of JSON by its dotted path; `undefined` when there is none. Own fields only: data cannot reach a prototype. */
export function fieldAt(data: unknown, path: string): unknown {
  let value: unknown = data;
  for (const name of path.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** Does the event's data have every one of these values? */
export const matchesWhere = (
  where: Readonly<Record<string, string | number | boolean | null>>,
  data: unknown,
): boolean => Object.entries(where).every(([path, wanted]) => fieldAt(data, path) === wanted);

/**
 * A trigger's input for one event: `$data` becomes the event's data, `$data.a.b` one field of it (null when it has none), as JSON
 * values. Nothing is ever put into a longer text.
 */
export function fillTemplate(template: JsonObject, data: JsonObject): JsonObject {
  let left = LIMIT_BYTES;
  const taken = (value: Json): Json => {
    left -= Buffer.byteLength(JSON.stringify(value));
    if (left < 0) throw new InputTooLarge();
    return value;
  };
  const fill = (part: Json): Json => {
    if (typeof part === 'string') {
      if (part === '$data') return taken(data);
      if (part.startsWith('$data.')) return taken((fieldAt(data, part.slice('$data.'.length)) ?? null) as Json);
      return part;
    }
    if (Array.isArray(part)) return part.map(fill);
    if (part !== null && typeof part === 'object') return fillObject(part);
    return part;
  };
  const fillObject = (part: JsonObject): JsonObject =>
    Object.fromEntries(Object.entries(part).map(([key, value]) => [key, fill(value)]));
  return fillObject(template);
}
