import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { packedRef } from './packed-refs.ts';

/** A ref's own file holds one line. */
const MAX_REF_FILE_BYTES = 1024;

/**
 * A ref as it stands in git's files, which are replaced as a whole: a file of its own when it moved since refs were last
 * packed, and a line of `packed-refs` when not. Null when it is in neither, undefined when git has to be asked. Saves a process
 * for each task that is created and each that is handed out.
 */
export function refFile(dir: string, name: string): string | null | undefined {
  const loose = contentOf(join(dir, name));
  if (loose === undefined) return undefined;
  if (loose !== null) return /^([0-9a-f]{40}|[0-9a-f]{64})\n$/.test(loose) ? loose.trim() : undefined;
  // Packing writes the line before it removes the file, so a ref that is in neither was in neither at one moment.
  const packed = packedRef(join(dir, 'packed-refs'), name);
  if (packed !== null) return packed;
  return statSync(join(dir, 'reftable'), { throwIfNoEntry: false }) === undefined ? null : undefined;
}

/**
 * Null when there is no such file; undefined when it is no small file. Read at once: what git wrote a moment ago is in memory, and five
 * trips to a thread cost ten times as much as the calls themselves, for each task that is handed out.
 */
function contentOf(path: string): string | null | undefined {
  try {
    const file = statSync(path, { throwIfNoEntry: false });
    if (file === undefined) return null;
    return file.size > MAX_REF_FILE_BYTES ? undefined : readFileSync(path, 'utf8');
  } catch (error) {
    // Gone between the two, or a part of the path is a file.
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? null : undefined;
  }
}
