import type { Finding } from '@muster/contracts';
import { breathe } from '../breath.ts';
import type { FileChange } from './changes.ts';
import type { SourceTree } from './tree.ts';

/** One thing that an analyser saw in one file. */
export interface Hit {
  rule: string;
  level: Finding['level'];
  veto?: boolean;
  message: string;
  line: number;
  remedy: string;
  /** What it is about, without line numbers and without the file's name: the same after a move. */
  key: string;
}
export interface PlacedHit extends Hit {
  path: string;
}

/** Beyond this a file is data or made by a tool; what reads it line by line still does. */
export const mostSourceBytes = 400_000;

/**
 * What a change brings: everything seen in the files that it touches, less what was seen in the same files, or in those that it
 * removes, before. Counted by what it is about, so that moved and renamed code costs nothing and debt is not charged.
 */
export async function freshHits(
  changes: readonly FileChange[],
  before: SourceTree | null,
  after: SourceTree,
  applies: (path: string) => boolean,
  look: (path: string, text: string) => readonly Hit[],
): Promise<PlacedHit[]> {
  const known = new Map<string, number>();
  const keyOf = (hit: Hit): string => `${hit.rule}\0${hit.key}`;
  const read = (tree: SourceTree, path: string): readonly Hit[] => {
    const text = tree.text(path);
    return text === null || text.length > mostSourceBytes ? [] : look(path, text);
  };
  for (const { path, status } of changes) {
    if (before === null || status === 'added' || !applies(path)) continue;
    await breathe();
    for (const hit of read(before, path)) known.set(keyOf(hit), (known.get(keyOf(hit)) ?? 0) + 1);
  }
  const found: PlacedHit[] = [];
  for (const { path, status, addedLines } of changes) {
    if (status === 'removed' || !applies(path)) continue;
    await breathe();
    // What stands on lines that were there before uses up what is known first.
    const hits = [...read(after, path)].sort((a, b) => Number(addedLines.has(a.line)) - Number(addedLines.has(b.line)));
    for (const hit of hits) {
      const left = known.get(keyOf(hit)) ?? 0;
      if (left > 0) known.set(keyOf(hit), left - 1);
      else found.push({ ...hit, path });
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line));
}
