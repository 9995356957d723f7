import { nameOf, type TreeEntry } from './answers.ts';
import { PathRefused } from './git.errors.ts';
import type { Git } from './git.ts';
import { entriesOf, makeTree } from './objects.ts';

export interface FileChange {
  readonly path: string;
  /** Null deletes. */
  readonly content: string | null;
  readonly encoding?: 'utf8' | 'base64';
  readonly executable?: boolean;
}
/** One file's change on its way down the folders. */
export interface Edit {
  readonly change: FileChange;
  /** Null deletes. */
  readonly blob: string | null;
  readonly parts: readonly string[];
}
const parts = (edits: readonly Edit[], depth: number): string => (edits[0]?.parts ?? []).slice(0, depth + 1).join('/');

/** What a folder holds after the edits below it; folders that are left empty are gone. */
export async function edited(
  git: Git,
  dir: string,
  tree: string | null,
  edits: readonly Edit[],
  depth = 0,
): Promise<TreeEntry[]> {
  const entries = new Map((tree === null ? [] : await entriesOf(git, dir, tree)).map((entry) => [entry.name, entry]));
  const byName = Map.groupBy(edits, ({ parts }) => nameOf(parts[depth] ?? ''));
  for (const [name, here] of byName) {
    const before = entries.get(name);
    const isFolder = before?.mode === '40000';
    const own = here.find(({ parts }) => parts.length === depth + 1);
    const below = here.filter(({ parts }) => parts.length > depth + 1);
    if (own !== undefined && own.blob === null && (before === undefined || isFolder))
      throw new PathRefused(own.change.path, 'it is to be deleted but is not there on this base');
    const stays = before !== undefined && !isFolder && own?.blob !== null;
    const first = below.find(({ blob }) => blob !== null) ?? below[0];
    const folder = parts(here, depth);
    if (first !== undefined && (stays || (own !== undefined && own.blob !== null)) && !isFolder)
      throw new PathRefused(first.change.path, `${folder} is a file`);
    const inFolder =
      first === undefined && !isFolder ? [] : await edited(git, dir, isFolder ? before.oid : null, below, depth + 1);
    if (own !== undefined && own.blob !== null && inFolder.length > 0)
      throw new PathRefused(
        `${folder}/${Buffer.from(inFolder[0]?.name ?? '', 'latin1').toString('utf8')}`,
        `${folder} is a file`,
      );
    entries.delete(name);
    if (own !== undefined && own.blob !== null) {
      if (before !== undefined && !isFolder && !before.mode.startsWith('100'))
        throw new PathRefused(own.change.path, 'only regular files can be submitted');
      const executable = own.change.executable ?? before?.mode === '100755';
      entries.set(name, { mode: executable ? '100755' : '100644', name, oid: own.blob });
    } else if (inFolder.length > 0) entries.set(name, { mode: '40000', name, oid: await makeTree(git, dir, inFolder) });
  }
  return [...entries.values()];
}
