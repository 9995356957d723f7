import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the files of a folder say that are run, whatever order they are read in. */
export function digestOfCode(folder: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.[jt]s$/.test(path) && !/\.(?:spec|d)\.[jt]s$/.test(path))
    .sort();
  for (const path of files) hash.update(JSON.stringify([path, readFileSync(join(folder, path), 'utf8')]));
  return hash.digest('hex').slice(0, 12);
}

/** Set by the build where everything is packed into one file, and no files of this package lie beside it. */
declare const MUSTER_GATE_CODE: string | undefined;

/** Another one for any other code, also where nobody thinks of counting up: evidence of another version is not reused. */
export const GATE_VERSION = `0.5.0+${typeof MUSTER_GATE_CODE === 'string' ? MUSTER_GATE_CODE : digestOfCode(import.meta.dirname)}`;
