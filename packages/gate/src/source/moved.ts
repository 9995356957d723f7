import type { FileChange } from './changes.ts';
import type { SourceTree } from './tree.ts';

/**
 * Asks of lines that a change writes, one after another, whether they only moved: as many of a kind as went from the lines that it takes
 * away, and no more.
 * @param applies the files whose lines count
 * @param keyOf what makes two lines the same; null: this one is looked at by nobody
 */
export function movedLines(
  changes: readonly FileChange[],
  before: SourceTree | null,
  after: SourceTree,
  applies: (path: string) => boolean,
  keyOf: (line: string) => string | null,
): (line: string) => boolean {
  const gone = new Map<string, number>();
  const count = (text: string | null, by: 1 | -1, skip: ReadonlySet<number>): void => {
    for (const [index, line] of (text ?? '').split('\n').entries()) {
      const key = skip.has(index + 1) ? null : keyOf(line);
      if (key !== null) gone.set(key, (gone.get(key) ?? 0) + by);
    }
  };
  for (const { path, status, addedLines } of changes) {
    if (!applies(path)) continue;
    if (status !== 'added') count(before?.text(path) ?? null, 1, new Set());
    if (status !== 'removed') count(after.text(path), -1, addedLines);
  }
  return (line) => {
    const key = keyOf(line);
    const left = key === null ? 0 : (gone.get(key) ?? 0);
    if (key !== null) gone.set(key, left - 1);
    return left > 0;
  };
}
