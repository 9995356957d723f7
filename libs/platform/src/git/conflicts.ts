import type { ConflictHunk } from '@muster/contracts';

/** Longer than any run of markers that sources hold, so that a file about merge conflicts is not mistaken for one. */
export const MARKER_SIZE = 71;
/** Hunks go back to an agent in its next assignment: enough to work on, never megabytes. */
const MAX_HUNKS = 200;
const MAX_TEXT = 20_000;

export interface ConflictedPath {
  readonly path: string;
  /** Blob ids by stage: 1 base, 2 ours, 3 theirs. */
  readonly stages: ReadonlyMap<number, { mode: string; oid: string }>;
}
export interface MergeMessage {
  readonly paths: readonly string[];
  readonly type: string;
  readonly text: string;
}

/** Reads `git merge-tree --write-tree -z --messages`: tree, conflicted stages, an empty field, messages. */
export function parseMergeTree(output: Buffer): { tree: string; paths: ConflictedPath[]; messages: MergeMessage[] } {
  const fields = output.toString('utf8').split('\0');
  const tree = fields[0] ?? '';
  const byPath = new Map<string, Map<number, { mode: string; oid: string }>>();
  let at = 1;
  for (; at < fields.length && fields[at] !== ''; at += 1) {
    const entry = /^(\d+) ([0-9a-f]+) ([123])\t([^]*)$/.exec(fields[at] ?? '');
    if (!entry) break;
    const [, mode = '', oid = '', stage = '', path = ''] = entry;
    const stages = byPath.get(path) ?? new Map<number, { mode: string; oid: string }>();
    byPath.set(path, stages.set(Number(stage), { mode, oid }));
  }
  const messages: MergeMessage[] = [];
  at += 1;
  while (at < fields.length) {
    const count = Number(fields[at]);
    if (!Number.isInteger(count) || fields[at] === '') break;
    messages.push({
      paths: fields.slice(at + 1, at + 1 + count),
      type: fields[at + 1 + count] ?? '',
      text: fields[at + 2 + count] ?? '',
    });
    at += count + 3;
  }
  return { tree, paths: [...byPath].map(([path, stages]) => ({ path, stages })), messages };
}

const short = (text: string) => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}\n[… cut]` : text);
export const limited = (hunks: ConflictHunk[]): ConflictHunk[] =>
  hunks
    .slice(0, MAX_HUNKS)
    .map((hunk) => ({ ...hunk, base: short(hunk.base), ours: short(hunk.ours), theirs: short(hunk.theirs) }));

/** Reads the markers of `git merge-file --diff3`; `startLine` is where the region begins in ours, the branch. */
export function parseMarkers(path: string, merged: string): ConflictHunk[] {
  const marker = (sign: string) => sign.repeat(MARKER_SIZE);
  const hunks: ConflictHunk[] = [];
  let side: 'common' | 'ours' | 'base' | 'theirs' = 'common';
  let line = 1;
  let startLine = 1;
  let parts = { ours: '', base: '', theirs: '' };
  for (const text of merged.split(/(?<=\n)/)) {
    if (text.startsWith(marker('<'))) {
      side = 'ours';
      startLine = line;
      parts = { ours: '', base: '', theirs: '' };
    } else if (side === 'ours' && text.startsWith(marker('|'))) side = 'base';
    else if (side === 'base' && text.startsWith(marker('='))) side = 'theirs';
    else if (side === 'theirs' && text.startsWith(marker('>'))) {
      hunks.push({ path, startLine, ...parts });
      side = 'common';
    } else {
      if (side === 'common' || side === 'ours') line += 1;
      if (side !== 'common') parts[side] += text;
    }
  }
  return hunks;
}

/** The hunks of a diff without context, each with the place in the first file and what stands there in the second. */
export const hunksOf = (diff: string): string[] =>
  diff
    .split(/^(?=@@ )/m)
    .slice(1)
    .map((hunk) => hunk.replace(/^@@ (-\S+) \+\S+ @@.*$/m, '$1'));
