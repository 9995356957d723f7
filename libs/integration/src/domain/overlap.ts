import type { ChangedFile } from '#platform/git';

/** What a change touches, in the form in which two of them are compared. */
export interface Touched {
  readonly paths: ReadonlySet<string>;
  /** Every folder above a touched path. */
  readonly above: ReadonlySet<string>;
  /** Folders out of which something is deleted or moved; git may want to move what others add there. */
  readonly emptied: ReadonlySet<string>;
  readonly addedTo: ReadonlySet<string>;
}

const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

export function touchedBy(files: readonly ChangedFile[]): Touched {
  const above = new Set<string>();
  for (const { path } of files)
    for (let folder = folderOf(path); folder !== ''; folder = folderOf(folder)) above.add(folder);
  const foldersWhere = (status: string) =>
    new Set(files.filter((file) => file.status === status).map(({ path }) => folderOf(path)));
  return {
    paths: new Set(files.map(({ path }) => path)),
    above,
    emptied: foldersWhere('D'),
    addedTo: foldersWhere('A'),
  };
}

const meet = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean => {
  const [few, many] = a.size < b.size ? [a, b] : [b, a];
  for (const one of few) if (many.has(one)) return true;
  return false;
};

/** Can these two get into each other's way at all? Same file, a file where the other has a folder, or a folder that one of them moves. */
export const mayConflict = (a: Touched, b: Touched): boolean =>
  meet(a.paths, b.paths) ||
  meet(a.paths, b.above) ||
  meet(a.above, b.paths) ||
  meet(a.emptied, b.addedTo) ||
  meet(a.addedTo, b.emptied);
