import { chmodSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Readable for the unprivileged user of a run, whatever the umask of the server was. */
export function makeReadable(path: string): void {
  const about = lstatSync(path);
  if (about.isSymbolicLink()) return;
  if (about.isDirectory()) {
    chmodSync(path, 0o755);
    for (const name of readdirSync(path)) makeReadable(join(path, name));
  } else {
    chmodSync(path, (about.mode & 0o111) === 0 ? 0o644 : 0o755);
  }
}
