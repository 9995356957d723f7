import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Longer than any line: a name has at most 255 bytes a folder, and git's own limit is below this. */
const LINE = 8 * 1024;
/** Below this it is read as a whole. */
const WHOLE = 16 * 1024;

/**
 * What `packed-refs` says of a ref: null when it names it not, undefined when git has to be asked. The file is sorted and replaced as a
 * whole: some reads of a few bytes find a line also among a hundred thousand.
 */
export function packedRef(path: string, name: string): string | null | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : undefined;
  }
  try {
    const { size } = fstatSync(file);
    const read = (from: number, length: number): string => {
      const bytes = Buffer.alloc(Math.min(length, size - from));
      return bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, from));
    };
    const sorted = /^# pack-refs with:.* sorted /.test(read(0, LINE));
    if (!sorted && size > WHOLE) return undefined;
    let [low, high] = [0, size];
    // Between `low` and `high` is the line, if there is one; both are where lines begin, or the end.
    while (sorted && high - low > WHOLE) {
      const middle = Math.floor((low + high) / 2);
      const line = lineFrom(read(middle, LINE));
      if (line === null || middle + line.at >= high) return undefined;
      if (line.name <= name) low = middle + line.at;
      else high = middle + line.at;
    }
    const text = `\n${read(low, high - low)}`;
    const end = text.indexOf(` ${name}\n`);
    if (end === -1) return null;
    const object = text.slice(text.lastIndexOf('\n', end) + 1, end);
    return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(object) ? object : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(file);
  }
}

/** The first whole line that names a ref, and where it begins. Lines of peeled tags name none. */
function lineFrom(text: string): { readonly at: number; readonly name: string } | null {
  const found = /\n([0-9a-f]{40,64} (refs\/[^\n]+))\n/.exec(text);
  return found === null ? null : { at: found.index + 1, name: found[2] ?? '' };
}
