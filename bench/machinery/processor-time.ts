import { readdirSync, readFileSync } from 'node:fs';

/** The kernel counts processor time in hundredths of a second on every Linux that Node runs on. */
const ticksPerSecond = 100;

interface Stat {
  readonly parent: number;
  readonly ownSeconds: number;
  /** Of children that have ended and were waited for. */
  readonly reapedSeconds: number;
}
function stat(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [parent, user, system, reapedUser, reapedSystem] = [
      fields[1],
      fields[11],
      fields[12],
      fields[13],
      fields[14],
    ];
    return {
      parent: parent!,
      ownSeconds: (user! + system!) / ticksPerSecond,
      reapedSeconds: (reapedUser! + reapedSystem!) / ticksPerSecond,
    };
  } catch {
    return null;
  }
}

/** Processor seconds of one process since its start; 0 when it is gone. */
export const processSeconds = (pid: number): number => stat(pid)?.ownSeconds ?? 0;

/** Processor seconds of a process and of all its children, those that have ended included: PostgreSQL with its backends. */
export function familySeconds(pid: number): number {
  const head = stat(pid);
  if (head === null) return 0;
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return children.reduce((sum, name) => {
    const child = stat(Number(name));
    return child?.parent === pid ? sum + child.ownSeconds : sum;
  }, head.ownSeconds + head.reapedSeconds);
}

/** Resident memory in MiB. */
export function residentMib(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new Error(`Process ${pid} has no memory: it is gone.`);
  return Number(kib) / 1024;
}

/** Resident memory in MiB of a process and everything that it has started. What they share is counted for each. */
export function familyMib(pid: number): number {
  const parents = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => [Number(name), stat(Number(name))?.parent ?? 0]),
  );
  const isOurs = (at: number): boolean => at === pid || (at > 1 && isOurs(parents.get(at) ?? 0));
  return [...parents.keys()].filter(isOurs).reduce((sum, each) => {
    try {
      return sum + residentMib(each);
    } catch {
      return sum; // ended meanwhile
    }
  }, 0);
}

/** Begins to count; what it returns says which share of all cores was busy since. */
export function busyShare(): () => number {
  const read = (): { idle: number; all: number } => {
    const fields = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').trim().split(/\s+/).slice(1).map(Number);
    return { idle: (fields[3] ?? 0) + (fields[4] ?? 0), all: fields.slice(0, 8).reduce((sum, each) => sum + each, 0) };
  };
  const began = read();
  return () => {
    const ended = read();
    return 1 - (ended.idle - began.idle) / Math.max(1, ended.all - began.all);
  };
}
