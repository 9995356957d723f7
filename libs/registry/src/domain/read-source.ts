import {
  Alias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  type Document,
  type Node,
} from 'yaml';
import type { FieldError } from '#kernel';
import { DefinitionInvalid, DefinitionTooLarge } from '../registry.errors.ts';

/** Enough for a hundred skills with their schemas; small enough to be read between two other requests. */
export const SOURCE_LIMIT_BYTES = 128 * 1024;
/** For several definitions together. */
export const BUNDLE_LIMIT_BYTES = 2 * SOURCE_LIMIT_BYTES;
/** Aliases may share a schema between skills; what they unfold to stays within this. */
const UNFOLDED_LIMIT_BYTES = 512 * 1024;
const MAX_ALIASES = 50;
const MAX_DEPTH = 100;
const MAX_ERRORS = 100;

export interface Place {
  readonly line: number;
  readonly column: number;
}
export type Path = readonly PropertyKey[];

/** One definition as it was sent: its value, and where in the text each part of it stands. */
export interface SentDefinition {
  readonly value: unknown;
  /** The deepest part of `path` that exists; null when there is no text (JSON). With `atKey` the place of the key itself. */
  placeOf(path: Path, atKey?: boolean): Place | null;
}

const syntaxWords: Record<string, string> = {
  BAD_INDENT: 'is indented in another way than its neighbours',
  TAB_AS_INDENT: 'is indented with a tab; YAML takes spaces only',
  BLOCK_AS_IMPLICIT_KEY: 'has a nested block where a key was expected',
  NON_STRING_KEY: 'has a key that is not plain text',
};

/** Reads every document of a YAML (or JSON) text. @throws DefinitionInvalid with line and column for each error */
export function readSource(source: string, limit = SOURCE_LIMIT_BYTES): SentDefinition[] {
  const bytes = Buffer.byteLength(source);
  if (bytes > limit) throw new DefinitionTooLarge(bytes, limit);
  const lines = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  refuseDeepNesting(source);
  let documents: Document.Parsed[];
  try {
    // Duplicate keys are looked for below: the parser's own check is quadratic in the number of keys.
    const parsed = parseAllDocuments(source, {
      lineCounter: lines,
      uniqueKeys: false,
      prettyErrors: false,
      stringKeys: true,
      logLevel: 'silent',
    });
    documents = Array.isArray(parsed) ? parsed : [];
  } catch (error) {
    if (error instanceof RangeError) throw tooDeep();
    throw error;
  }
  const errors: FieldError[] = [];
  for (const document of documents) {
    for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
      errors.push({ path: '', message: syntaxWords[code] ?? message, ...at(pos[0]) });
    }
    if (document.errors.length === 0) errors.push(...duplicateKeys(document, at));
  }
  if (errors.length > 0) throw new DefinitionInvalid(errors.slice(0, MAX_ERRORS));
  const sent = documents.filter((document) => document.contents !== null && !isEmptyScalar(document.contents));
  if (sent.length === 0)
    throw new DefinitionInvalid([{ path: '', message: 'there is nothing in it', line: 1, column: 1 }]);
  return sent.map((document) => {
    const value = unfold(document, at);
    return { value, placeOf: (path, atKey = false) => placeIn(document, path, atKey, at) };
  });
}

/** A definition that came as JSON: errors name the path only. */
export function asSent(value: unknown): SentDefinition {
  let text: string;
  try {
    text = JSON.stringify(value) ?? '';
  } catch (error) {
    if (error instanceof RangeError) throw tooDeep();
    throw error;
  }
  const bytes = Buffer.byteLength(text);
  if (bytes > SOURCE_LIMIT_BYTES) throw new DefinitionTooLarge(bytes, SOURCE_LIMIT_BYTES);
  if (depthOf(value) > MAX_DEPTH) throw tooDeep();
  return { value, placeOf: () => null };
}

/** The definitions inside: a list of several stands for each of its items. */
export function eachOf(sent: SentDefinition): SentDefinition[] {
  if (!Array.isArray(sent.value)) return [sent];
  return sent.value.map((value: unknown, index) => ({
    value,
    placeOf: (path, atKey) => sent.placeOf([index, ...path], atKey),
  }));
}

const isEmptyScalar = (node: Node): boolean => isScalar(node) && node.value === null && !node.anchor;

const tooDeep = (): DefinitionInvalid =>
  new DefinitionInvalid([{ path: '', message: `is nested deeper than ${MAX_DEPTH} levels` }]);

/** A run of opening brackets exhausts the parser's stack before it can say so; brackets inside strings are rarely that many. */
function refuseDeepNesting(source: string): void {
  let depth = 0;
  for (let i = 0; i < source.length; i += 1) {
    const character = source.charCodeAt(i);
    if (character === 0x5b || character === 0x7b) depth += 1;
    else if (character === 0x5d || character === 0x7d) depth = Math.max(0, depth - 1);
    if (depth > 1000) throw tooDeep();
  }
}

function depthOf(value: unknown): number {
  let depth = 0;
  let level: unknown[] = [value];
  while (level.length > 0 && depth <= MAX_DEPTH) {
    level = level.flatMap((member) =>
      member !== null && typeof member === 'object' ? Object.values<unknown>(member as Record<string, unknown>) : [],
    );
    depth += 1;
  }
  return depth;
}

function duplicateKeys(document: Document.Parsed, at: (offset: number) => Place): FieldError[] {
  const errors: FieldError[] = [];
  const open: { node: unknown; path: string }[] = [{ node: document.contents, path: '' }];
  for (let entry = open.pop(); entry !== undefined; entry = open.pop()) {
    const { node, path } = entry;
    if (isMap(node)) {
      const seen = new Set<string>();
      for (const { key, value } of node.items) {
        const name = isScalar(key) ? String(key.value) : String(key);
        const below = path === '' ? name : `${path}.${name}`;
        const place = isScalar(key) && key.range ? at(key.range[0]) : {};
        if (seen.has(name)) errors.push({ path: below, message: 'is written twice; keep one of them', ...place });
        seen.add(name);
        open.push({ node: value, path: below });
      }
    } else if (isSeq(node)) {
      node.items.forEach((item, index) =>
        open.push({ node: item, path: path === '' ? String(index) : `${path}.${index}` }),
      );
    }
  }
  return errors;
}

function unfold(document: Document.Parsed, at: (offset: number) => Place): unknown {
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
    // First the one that notices a circle (an alias to what holds it): counting levels of a circle never ends.
    if (Buffer.byteLength(JSON.stringify(value) ?? '') > UNFOLDED_LIMIT_BYTES) throw tooManyAliases(at);
    if (depthOf(value) > MAX_DEPTH) throw tooDeep();
  } catch (error) {
    if (error instanceof ReferenceError) throw tooManyAliases(at);
    if (error instanceof RangeError || error instanceof TypeError) throw tooDeep();
    throw error;
  }
  return value;
}

const tooManyAliases = (at: (offset: number) => Place): DefinitionInvalid =>
  new DefinitionInvalid([
    { path: '', message: 'unfolds its aliases (*name) too often; write the parts out', ...at(0) },
  ]);

function placeIn(document: Document.Parsed, path: Path, atKey: boolean, at: (offset: number) => Place): Place {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const [index, segment] of path.entries()) {
    if (node instanceof Alias) node = node.resolve(document);
    if (!isCollection(node)) break;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(segment));
      if (pair === undefined) break;
      const keyOffset = isScalar(pair.key) ? pair.key.range?.[0] : undefined;
      const valueOffset = (pair.value as Node | null)?.range?.[0];
      offset = (atKey && index === path.length - 1 ? keyOffset : valueOffset) ?? keyOffset ?? offset;
      node = pair.value;
    } else {
      const item: unknown = node.items[Number(segment)];
      if (item === undefined) break;
      offset = (item as Node | null)?.range?.[0] ?? offset;
      node = item;
    }
  }
  return at(offset);
}
