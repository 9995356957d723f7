import { describe, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';

interface Suite {
  readonly describe: typeof describe | typeof describe.skip;
  readonly it: typeof it | typeof it.skip;
}

/** What is tried only where something is there: left out loudly without it, and a failure where everything has to be there. */
export function needing(what: string, missing: readonly string[]): Suite {
  if (missing.length === 0) return { describe, it };
  const why = `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not there`;
  if (process.env['CI'] === 'true') throw new Error(`${why}, and CI needs it for ${what}.`);
  return leavingOut(what, why);
}

/** What a machine cannot always be given, CI's neither: left out loudly, and never a failure. `why` is null where it can be tried. */
export const wherePossible = (what: string, why: string | null): Suite =>
  why === null ? { describe, it } : leavingOut(what, why);

function leavingOut(what: string, why: string): Suite {
  process.stderr.write(`\n*** SKIPPED: ${what}: ${why} ***\n`);
  return { describe: describe.skip, it: it.skip };
}

/** Those of these programs that are not on the PATH. */
export const missingPrograms = (...programs: readonly string[]): string[] =>
  programs.filter((name) => spawnSync(name, ['--version']).error !== undefined);
