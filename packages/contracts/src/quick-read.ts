import { idPrefixes, type IdKind } from './ids.ts';
import type { AgentMessage, ServerMessage } from './protocol.ts';

/**
 * The messages that come by the thousand, read without the schema. Null means "let the schema look", not "wrong": what is read
 * here the schema would read as the same, and a property test holds that.
 */

const typeIdTail = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const isId = (value: unknown, kind: IdKind): value is string => {
  if (typeof value !== 'string') return false;
  const prefix = idPrefixes[kind];
  return (
    value.length === prefix.length + 27 &&
    value.startsWith(prefix) &&
    value.charCodeAt(prefix.length) === 95 &&
    typeIdTail.test(value.slice(prefix.length + 1))
  );
};
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const maxDepth = 8;
/** JSON of ordinary depth and with ordinary names, which the schema hands on as it is. */
function isOrdinary(value: unknown, depth = 0): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth >= maxDepth) return false;
  if (Array.isArray(value)) return value.every((item) => isOrdinary(item, depth + 1));
  for (const name in value) {
    if (name === '__proto__' || !Object.hasOwn(value, name)) return false;
    if (!isOrdinary((value as Record<string, unknown>)[name], depth + 1)) return false;
  }
  return true;
}

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (raw: unknown): Fields | null =>
  typeof raw === 'object' && raw !== null && !Array.isArray(raw) ? (raw as Fields) : null;
function count(fields: Fields): number {
  let names = 0;
  for (const name in fields) if (Object.hasOwn(fields, name)) names += 1;
  return names;
}

/** `complete` and `credit`, as parsed from JSON. */
export function readQuickly(raw: unknown): AgentMessage | null {
  const fields = fieldsOf(raw);
  if (fields === null || !isCount(fields['seq'])) return null;
  const seq = fields['seq'];
  switch (fields['type']) {
    case 'complete': {
      const { taskId, fence, output } = fields;
      if (!isId(taskId, 'task') || !isWhole(fence)) return null;
      if (!Object.hasOwn(fields, 'output') || count(fields) !== 5 || !isOrdinary(output)) return null;
      return { type: 'complete', seq, taskId, fence, output: output as CompleteOutput };
    }
    case 'credit': {
      const { count: wanted } = fields;
      if (!isCount(wanted) || wanted > 1000 || count(fields) !== 3) return null;
      return { type: 'credit', seq, count: wanted };
    }
    default:
      return null;
  }
}
type CompleteOutput = Extract<AgentMessage, { type: 'complete' }>['output'];

const timestamp = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;
const capability = /^[a-z][a-z0-9]*([._-][a-z0-9]+)*$/;

/** `ok`, and `task` of a first attempt, as parsed from JSON. A project that was read before is known by being the same text. */
export function readServerQuickly(raw: unknown, knownProject: (project: unknown) => boolean): ServerMessage | null {
  const fields = fieldsOf(raw);
  if (fields === null) return null;
  if (fields['type'] === 'ok') {
    const { re, result } = fields;
    if (!isCount(re)) return null;
    if (result === undefined) return count(fields) === 2 ? { type: 'ok', re } : null;
    return count(fields) === 3 && isOrdinary(result) ? (fields as ServerMessage) : null;
  }
  if (fields['type'] !== 'task' || count(fields) !== 2) return null;
  const task = fieldsOf(fields['task']);
  if (task === null || count(task) !== 12) return null;
  const { title, input, lessons, checkpoint, rework, project } = task;
  const fits =
    isId(task['taskId'], 'task') &&
    isId(task['attemptId'], 'attempt') &&
    isWhole(task['attempt']) &&
    task['attempt'] >= 1 &&
    isWhole(task['fence']) &&
    typeof task['leaseUntil'] === 'string' &&
    timestamp.test(task['leaseUntil']) &&
    typeof task['capability'] === 'string' &&
    task['capability'].length <= 100 &&
    capability.test(task['capability']) &&
    (title === null || typeof title === 'string') &&
    fieldsOf(input) !== null &&
    isOrdinary(input) &&
    Array.isArray(lessons) &&
    lessons.length === 0 &&
    checkpoint === null &&
    rework === null &&
    knownProject(project);
  return fits ? (fields as ServerMessage) : null;
}
