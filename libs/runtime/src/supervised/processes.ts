import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** In the environment of a supervised process and of all that it starts: how they are told from everybody else's. */
export const mark = 'SUPERVISED_BY_MUSTER';

/** A process as the kernel knows it: an id alone may belong to somebody else by now, an id with its start cannot. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between boot and start. */
  readonly startedTicks: number;
}

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Null when there is no such process, or it has ended and is only waited for. */
export function identityOf(pid: number): ProcessIdentity | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name stands in brackets and may itself contain some.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return null;
    return { pid, startedTicks: Number(fields[19]) };
  } catch {
    return null;
  }
}

export const isAlive = (one: ProcessIdentity): boolean => identityOf(one.pid)?.startedTicks === one.startedTicks;

/** Every living process that carries the mark, whichever group or session it moved to. */
export function markedProcesses(cookie: string): number[] {
  const entry = Buffer.from(`${mark}=${cookie}\0`);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`).includes(entry) && identityOf(pid) !== null;
      } catch {
        return false;
      }
    });
}

/** @param leader of the group that it was started as, null when that is not known */
export function signalTree(leader: ProcessIdentity | null, cookie: string, signal: NodeJS.Signals): void {
  // While its leader lives, nobody else's group can have this number.
  if (leader !== null && isAlive(leader)) send(-leader.pid, signal);
  else for (const pid of markedProcesses(cookie)) send(pid, signal);
}

/** Ends all of it, also what left the group or was born meanwhile. Answers with what could not be ended. */
export async function killTree(leader: ProcessIdentity | null, cookie: string): Promise<number[]> {
  if (leader !== null && isAlive(leader)) send(-leader.pid, 'SIGKILL');
  for (let round = 0; round < 100; round++) {
    const left = markedProcesses(cookie);
    if (left.length === 0) return [];
    for (const pid of left) send(pid, 'SIGKILL');
    await pause(Math.min(5 * (round + 1), 50));
  }
  return markedProcesses(cookie);
}

/** @param pid of its leader, which has just ended or lives */
export const endGroup = (pid: number): void => send(-pid, 'SIGKILL');

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended by itself
  }
}
