import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the files of a folder say that are run, whatever order they are read in. */
export function digestOfCode(folder: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.[jt]s$/.test(path) && !/\.(?:spec|d)\.[jt]s$/.test(path))
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
  for (const path of files) hash.update(JSON.stringify([path, readFileSync(join(folder, path), 'utf8')]));
  return hash.digest('hex').slice(0, 12);
}

/** Set by the build where everything is packed into one file, and no files of this package lie beside it. */
declare const MUSTER_GATE_CODE: string | undefined;

const code =
  typeof MUSTER_GATE_CODE === 'string' ? MUSTER_GATE_CODE : digestOfCode(dirname(fileURLToPath(import.meta.url)));
/**
 * Another one for any other code of the gate, also where nobody thinks of counting up: evidence of another version is not reused. It is
 * counted up by hand where a tool or a library that the gate calls in-process, which is none of its code, answers otherwise.
 */
export const GATE_VERSION = `0.5.0+${code}`;
