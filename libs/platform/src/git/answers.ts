import type { Reader } from './conversation.ts';

export interface ObjectInfo {
  readonly oid: string;
  readonly type: string;
  readonly size: number;
}
export interface TreeEntry {
  readonly mode: string;
  /** Its bytes, one character each: not every name is UTF-8. */
  readonly name: string;
  readonly oid: string;
}
/** How a name is written in a `TreeEntry`. */
export const nameOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
export interface Difference {
  /** A added, M modified, D deleted, T type changed. */
  readonly status: string;
  /** What it is in the second tree; zeros when it is not there. */
  readonly mode: string;
  /** Its object in each of the trees; zeros where it is not there. */
  readonly before: string;
  readonly oid: string;
  readonly path: string;
}
export interface Commit {
  readonly tree: string;
  readonly parents: readonly string[];
  /** Null when it is in another encoding than UTF-8. */
  readonly message: string | null;
}

const LF = 10;
const NUL = 0;
const infoOf = (line: string): ObjectInfo | null => {
  const found = /^([0-9a-f]{40}|[0-9a-f]{64}) (commit|tree|blob|tag) (\d+)$/.exec(line);
  if (found) return { oid: found[1] ?? '', type: found[2] ?? '', size: Number(found[3]) };
  if (/ (missing|ambiguous)$/.test(line)) return null;
  throw new Error(`git cat-file said ${JSON.stringify(line.slice(0, 300))}`);
};

/** So many answers to `info`; null for what is not there. */
export const infos =
  (count: number): Reader<Array<ObjectInfo | null>> =>
  (come) => {
    const answer: Array<ObjectInfo | null> = [];
    let end = 0;
    while (answer.length < count) {
      const next = come.indexOf(LF, end);
      if (next === -1) return come.length + 1;
      answer.push(infoOf(come.subarray(end, next).toString('utf8')));
      end = next + 1;
    }
    return { answer, end };
  };

/** The answer to `contents`; null when it is not there. */
export const contents: Reader<(ObjectInfo & { readonly bytes: Buffer }) | null> = (come) => {
  const line = come.indexOf(LF);
  if (line === -1) return come.length + 1;
  const info = infoOf(come.subarray(0, line).toString('utf8'));
  if (info === null) return { answer: null, end: line + 1 };
  const last = line + 1 + info.size;
  if (come.length <= last) return last + 1;
  // A copy: what has come is let go of.
  return { answer: { ...info, bytes: Buffer.from(come.subarray(line + 1, last)) }, end: last + 1 };
};

/** The ids of what was written, one a line. */
export const written =
  (count: number): Reader<string[]> =>
  (come) => {
    let end = 0;
    for (let line = 0; line < count; line += 1) {
      end = come.indexOf(LF, end) + 1;
      if (end === 0) return come.length + 1;
    }
    const answer = come.subarray(0, end).toString('latin1').split('\n').slice(0, count);
    return { answer, end };
  };

/** `diff-tree --stdin -r -z --raw` of two trees, and the line after them, which it gives back as it is. */
export const differences =
  (line: string): Reader<Difference[]> =>
  (come) => {
    const last = Buffer.from(line);
    if (!come.subarray(-last.length).equals(last)) return come.length + 1;
    const answer: Difference[] = [];
    let at = come.indexOf(LF) + 1;
    while (come[at] === 58) {
      const path = come.indexOf(NUL, at) + 1;
      const next = path === 0 ? 0 : come.indexOf(NUL, path) + 1;
      if (next === 0) return come.length + 1;
      const [, mode = '', before = '', oid = '', status = ''] = come
        .subarray(at, path - 1)
        .toString('latin1')
        .split(' ');
      answer.push({ status, mode, before, oid, path: come.subarray(path, next - 1).toString('utf8') });
      at = next;
    }
    return at + last.length === come.length ? { answer, end: come.length } : come.length + 1;
  };

export function parseCommit(bytes: Buffer): Commit {
  const end = bytes.indexOf('\n\n');
  const head = bytes.subarray(0, end === -1 ? bytes.length : end).toString('latin1');
  const parents = [...head.matchAll(/^parent ([0-9a-f]+)$/gm)].map(([, oid = '']) => oid);
  const message = end === -1 || /^encoding /m.test(head) ? null : bytes.subarray(end + 2).toString('utf8');
  return { tree: /^tree ([0-9a-f]+)/.exec(head)?.[1] ?? '', parents, message };
}

/** A transaction on refs that went through; git ends on one that does not. */
export const committed: Reader<true> = (come) => {
  const last = 'commit: ok\n';
  const at = come.indexOf(last);
  return at === -1 ? come.length + 1 : { answer: true, end: at + last.length };
};

export function parseTree(bytes: Buffer, oidBytes: number): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(32, at);
    const end = bytes.indexOf(NUL, space);
    const next = end + 1 + oidBytes;
    entries.push({
      mode: bytes.subarray(at, space).toString('latin1'),
      name: bytes.subarray(space + 1, end).toString('latin1'),
      oid: bytes.subarray(end + 1, next).toString('hex'),
    });
    at = next;
  }
  return entries;
}

/**
 * Two answers of `merge-tree --stdin -z --messages`, of which the second is a merge of a commit with itself: this git writes the
 * last byte of an answer with the next one. What is left of the second comes first then.
 */
export const merged: Reader<{ readonly clean: boolean; readonly output: Buffer }> = (come) => {
  const begin = come[0] === NUL ? 1 : 0;
  const first = endOfMerge(come, begin);
  if (first === null) return come.length + 1;
  const second = endOfMerge(come, first.end);
  const last = second?.end ?? withoutItsLastByte(come, first.end);
  if (last === null) return come.length + 1;
  const status = come.subarray(begin, come.indexOf(NUL, begin)).toString('latin1');
  if (status !== '0' && status !== '1') throw new Error(`git merge-tree said ${JSON.stringify(status.slice(0, 100))}`);
  return { answer: { clean: status === '1', output: Buffer.from(come.subarray(first.tree, first.end)) }, end: last };
};

/** status NUL tree NUL (entry NUL)* NUL (count NUL path NUL … type NUL text NUL)* NUL */
function endOfMerge(come: Buffer, from: number): { readonly tree: number; readonly end: number } | null {
  const after = (at: number): number => (at === -1 || at >= come.length ? -1 : come.indexOf(NUL, at) + 1 || -1);
  const tree = after(from);
  let at = after(tree);
  while (at !== -1 && at < come.length && come[at] !== NUL) at = after(at);
  if (at === -1 || at >= come.length) return null;
  at += 1;
  while (at < come.length && come[at] !== NUL) {
    const fields = Number(come.subarray(at, Math.max(at, after(at) - 1)).toString('latin1')) + 3;
    for (let field = 0; field < fields && at !== -1; field += 1) at = after(at);
    if (at === -1) return null;
  }
  return at < come.length ? { tree, end: at + 1 } : null;
}

/** A merge without messages, which is what a commit with itself is, up to the byte that comes with the next answer. */
function withoutItsLastByte(come: Buffer, from: number): number | null {
  const tree = come.indexOf(NUL, from);
  const end = tree === -1 ? -1 : come.indexOf(NUL, tree + 1);
  return end !== -1 && come[end + 1] === NUL && come.length === end + 2 ? end + 2 : null;
}
