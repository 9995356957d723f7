import type { SourceTree } from './tree.ts';

export interface FileChange {
  path: string;
  status: 'added' | 'changed' | 'removed';
  /** Numbers of the candidate's lines that the other tree does not have, from 1. */
  addedLines: ReadonlySet<number>;
}

/** What a candidate changes against another tree; everything is new against none. */
export function changesBetween(before: SourceTree | null, after: SourceTree): FileChange[] {
  const changes: FileChange[] = [];
  for (const path of after.files.keys()) {
    if (before === null || !before.has(path)) {
      changes.push({ path, status: 'added', addedLines: addedLines('', after.text(path) ?? '') });
    } else if (!before.sameIn(after, path)) {
      changes.push({
        path,
        status: 'changed',
        addedLines: addedLines(before.text(path) ?? '', after.text(path) ?? ''),
      });
    }
  }
  for (const path of before?.files.keys() ?? []) {
    if (!after.has(path)) changes.push({ path, status: 'removed', addedLines: new Set() });
  }
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Myers' shortest edit; where two versions differ in more than `bound` lines the whole middle counts as new. */
export function addedLines(before: string, after: string, bound = 2000): Set<number> {
  const a = before === '' ? [] : before.split('\n');
  const b = after === '' ? [] : after.split('\n');
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let endA = a.length;
  let endB = b.length;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--;
    endB--;
  }
  const n = endA - start;
  const m = endB - start;
  const added = new Set<number>();
  if (n === 0 || m === 0) {
    for (let line = start; line < endB; line++) added.add(line + 1);
    return added;
  }
  const trace: Map<number, number>[] = [];
  let furthest = new Map<number, number>([[1, 0]]);
  for (let d = 0; d <= Math.min(n + m, bound); d++) {
    trace.push(new Map(furthest));
    for (let k = -d; k <= d; k += 2) {
      let x =
        k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1))
          ? (furthest.get(k + 1) ?? 0)
          : (furthest.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < n && y < m && a[start + x] === b[start + y]) {
        x++;
        y++;
      }
      furthest.set(k, x);
      if (x >= n && y >= m) return backtrack(trace, n, m, start);
    }
    furthest = new Map(furthest);
  }
  for (let line = start; line < endB; line++) added.add(line + 1);
  return added;
}

function backtrack(trace: readonly Map<number, number>[], n: number, m: number, start: number): Set<number> {
  const added = new Set<number>();
  let x = n;
  let y = m;
  for (let d = trace.length - 1; d > 0; d--) {
    const furthest = trace[d]!;
    const k = x - y;
    const down = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
    const previousK = down ? k + 1 : k - 1;
    const previousX = furthest.get(previousK) ?? 0;
    const previousY = previousX - previousK;
    while (x > previousX && y > previousY) {
      x--;
      y--;
    }
    if (down) added.add(start + previousY + 1);
    x = previousX;
    y = previousY;
  }
  return added;
}
