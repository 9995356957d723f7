import { constants, closeSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * Reads what a sandboxed command left behind. It may have left a link to a file of the host, a pipe that blocks, or
 * gigabytes: links and anything but a plain file count as nothing, and so does what is over the cap.
 */
export const readReport = (path: string, maxBytes?: number): string | null =>
  readReportBytes(path, maxBytes)?.toString('utf8') ?? null;

export function readReportBytes(path: string, maxBytes = 64 * 1024 * 1024): Buffer | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const about = fstatSync(file);
    if (!about.isFile() || about.nlink > 1 || about.size > maxBytes) return null;
    const bytes = Buffer.alloc(about.size);
    let filled = 0;
    while (filled < bytes.length) {
      const read = readSync(file, bytes, filled, bytes.length - filled, filled);
      if (read === 0) break;
      filled += read;
    }
    return bytes.subarray(0, filled);
  } finally {
    closeSync(file);
  }
}
