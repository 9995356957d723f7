import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** When a process began, in ticks since the machine did; a pid alone may be somebody else's by now. Null where nobody can tell. */
function beginningOf(pid: number | 'self'): string | null {
  try {
    // The name of the program may hold anything, and stands in brackets.
    return (
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')[19] ?? null
    );
  } catch {
    return null;
  }
}

/** Pids mean something within their namespace only, and a temporary folder may be shared by several. */
function namespace(): string | null {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? null;
  } catch {
    return null;
  }
}

const swept = new Set<string>();

/** Takes away what processes left that were killed, and at last what is this one's; where it cannot be known who lives, nothing. */
function sweep(base: string, ours: string, atLast = false): void {
  const self = process.getuid?.();
  for (const name of readdirSync(base)) {
    const [, where, pid, began] = /^\.?muster-gate-(\d+)-(\d+)-(\d+)-/.exec(name) ?? [];
    if (where !== ours || (beginningOf(Number(pid)) === began && !(atLast && Number(pid) === process.pid))) continue;
    const path = join(base, name);
    try {
      // What root makes may belong to the user of a sandbox by now.
      if (self === 0 || lstatSync(path).uid === self) rmSync(path, { recursive: true, force: true });
    } catch {
      // somebody else was quicker, or it is not ours to remove
    }
  }
}

/** What was under way when the process was told to end gets no chance to put away its folders by itself. */
function sweepAtLast(): void {
  const where = namespace();
  if (where === null) return;
  for (const base of swept) {
    try {
      sweep(base, where, true);
    } catch {
      // the place itself is gone
    }
  }
}

/**
 * A new folder of this process, which removes it when it is done, and at the latest when it exits. A name tells whose it is, so that
 * the next process can remove it where this one is killed.
 *
 * @param base default: the system's temporary folder
 */
export function ownFolder(purpose: string, base = tmpdir(), dot = ''): string {
  const where = namespace();
  if (where !== null && !swept.has(base)) {
    if (swept.size === 0) process.once('exit', sweepAtLast);
    swept.add(base);
    sweep(base, where);
  }
  return mkdtempSync(
    join(base, `${dot}muster-gate-${where ?? 0}-${process.pid}-${beginningOf('self') ?? 0}-${purpose}-`),
  );
}
