import { idPrefixes, type IdKind } from './ids.ts';
import type { z } from 'zod';
import type { AgentMessage, ServerMessage } from './protocol.ts';
import { priorities, type createTask, type createTasks } from './tasks.ts';

/**
 * The messages and bodies that come by the thousand, read without the schema. Null means "let the schema look", not "wrong": what is read
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

type ReadTask = z.output<typeof createTask>;
type ReadTasks = z.output<typeof createTasks>;

const isCapability = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= 100 && capability.test(value);

/** What plain tasks say of themselves, with what they leave unsaid; anything more particular is for the schema. */
function readWish(fields: Fields): ReadTasks['tasks'][number] | null {
  const wish: ReadTasks['tasks'][number] = { input: {}, priority: 'normal', labels: {}, maxAttempts: 5 };
  for (const name in fields) {
    if (!Object.hasOwn(fields, name)) return null;
    const value = fields[name];
    switch (name) {
      case 'projectId':
      case 'capability':
        break;
      case 'input':
        if (fieldsOf(value) === null || !isOrdinary(value)) return null;
        wish.input = value as ReadTask['input'];
        break;
      case 'title':
        if (typeof value !== 'string' || value.length < 1 || value.length > 300) return null;
        wish.title = value;
        break;
      case 'priority':
        if (!priorities.includes(value as ReadTask['priority'])) return null;
        wish.priority = value as ReadTask['priority'];
        break;
      case 'maxAttempts':
        if (!isWhole(value) || value < 1 || value > 20) return null;
        wish.maxAttempts = value;
        break;
      case 'idempotencyKey':
        if (typeof value !== 'string' || value.length < 1 || value.length > 200) return null;
        wish.idempotencyKey = value;
        break;
      default:
        return null;
    }
  }
  return wish;
}

/** A body of `createTask`, as parsed from JSON. */
export function readTaskQuickly(raw: unknown): ReadTask | null {
  const fields = fieldsOf(raw);
  if (fields === null || Object.hasOwn(fields, 'idempotencyKey')) return null;
  const { projectId, capability: asked } = fields;
  if (!isId(projectId, 'project') || !isCapability(asked)) return null;
  const wish = readWish(fields);
  return wish === null
    ? null
    : { ...(wish as Omit<ReadTask, 'projectId' | 'capability'>), projectId, capability: asked };
}

/** A body of `createTasks`, as parsed from JSON. */
export function readTasksQuickly(raw: unknown): ReadTasks | null {
  const fields = fieldsOf(raw);
  if (fields === null || count(fields) !== 3) return null;
  const { projectId, capability: asked, tasks } = fields;
  if (!isId(projectId, 'project') || !isCapability(asked)) return null;
  if (!Array.isArray(tasks) || tasks.length < 1 || tasks.length > 1000) return null;
  const read: ReadTasks['tasks'] = [];
  for (const item of tasks as unknown[]) {
    const one = fieldsOf(item);
    if (one === null || Object.hasOwn(one, 'projectId') || Object.hasOwn(one, 'capability')) return null;
    const wish = readWish(one);
    if (wish === null) return null;
    read.push(wish);
  }
  return { projectId, capability: asked, tasks: read };
}
