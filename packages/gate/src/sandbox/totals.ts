import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesPerEntry, type Watch } from './watch.ts';

const everyMs = 250;
/** Looking at the disk rests ten times as long as it took, so that it takes a tenth of a core at most. */
const restPerLook = 10;
const mostProcesses = 5000;

const childrenOf = (pid: number): number[] => {
  try {
    // Each thread has children of its own.
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return []; // it is gone already
  }
};

/** A process and all that came of it. */
export function processesBelow(pid: number): number[] {
  const all: number[] = [];
  for (const queue = [pid]; queue.length > 0 && all.length < mostProcesses;) {
    const next = queue.shift()!;
    all.push(next);
    queue.push(...childrenOf(next));
  }
  return all;
}

/** What processes hold themselves, in MB. What they have mapped from files the system can take back. */
function heldBy(pids: readonly number[]): number {
  let kilobytes = 0;
  for (const pid of pids) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      for (const match of status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+)/gm)) kilobytes += Number(match[1]);
    } catch {
      // it is gone already
    }
  }
  return kilobytes / 1024;
}

/** What was written below a folder since a moment, in bytes of the disk; links are not followed, and what vanishes meanwhile counts nothing. */
async function writtenSince(folder: string, sinceMs: number): Promise<number> {
  let bytes = 0;
  const queue = [folder];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    try {
      for await (const entry of await opendir(at, { bufferSize: 512 })) {
        const path = join(at, entry.name);
        if (entry.isDirectory()) queue.push(path);
        // Waiting for each of a hundred thousand would take longer than filling the disk does.
        const about = lstatSync(path, { throwIfNoEntry: false });
        // The time of the last change cannot be set by whoever owns a file.
        if (about !== undefined && about.ctimeMs >= sinceMs) bytes += Math.max(about.blocks * 512, bytesPerEntry);
      }
    } catch {
      // it is gone already
    }
  }
  return bytes;
}

export interface TotalLimits {
  /** Of all processes together, what they share with files left out. */
  totalMemoryMb: number;
  /** What may be written to writable mounts in all. Temporary folders have a size of their own. */
  diskMb: number;
}

export interface TotalsOptions {
  /** Whether the kernel has ended something of the run for the sake of memory. */
  readonly outOfMemory: () => boolean;
  readonly watched: { readonly folder: string; readonly watch: Watch } | null;
}

export interface Totals {
  readonly stopped: string | null;
  readonly peakMemoryMb: number;
  readonly writtenMb: number;
  end(): void;
}

export const memoryInWords = ({ totalMemoryMb }: TotalLimits): string =>
  `its processes together wanted more memory than the ${totalMemoryMb} MB that they may hold`;

/**
 * Sees to the limits on all of a run together, by looking now and then. Between two looks a run can hold more, unless it is in a
 * group that the kernel holds to its memory (`cgroup.ts`); each process by itself, and each file, is limited by the kernel anyway.
 */
export function watchTotals(
  pid: number | undefined,
  writable: readonly string[],
  limits: TotalLimits,
  stop: () => void,
  { outOfMemory, watched }: TotalsOptions,
): Totals {
  const seen = { stopped: null as string | null, peakMemoryMb: 0, writtenMb: 0 };
  // Times of files are taken from a clock that ticks every few milliseconds.
  const since = Date.now() + 4;
  let ended = pid === undefined;
  let resting = 0;
  let looking = false;
  const exceeded = (what: string): void => {
    if (ended || seen.stopped !== null) return;
    seen.stopped = what;
    stop();
  };
  const lookAtDisk = async (): Promise<void> => {
    looking = true;
    const begun = performance.now();
    let bytes = 0;
    for (const folder of writable)
      bytes +=
        folder === watched?.folder
          ? await watched.watch.written(since, (below) => writtenSince(below, since)).catch(() => 0)
          : await writtenSince(folder, since);
    const written = bytes / 1024 / 1024;
    if (!ended) seen.writtenMb = Math.max(seen.writtenMb, written);
    if (written > limits.diskMb)
      exceeded(`it wrote ${Math.round(written)} MB to the disk, and may write ${limits.diskMb} MB`);
    resting = performance.now() + (performance.now() - begun) * restPerLook;
    looking = false;
  };
  const timer = setInterval(() => {
    if (ended || pid === undefined) return;
    if (outOfMemory()) exceeded(memoryInWords(limits));
    const memory = heldBy(processesBelow(pid));
    seen.peakMemoryMb = Math.max(seen.peakMemoryMb, memory);
    if (memory > limits.totalMemoryMb)
      exceeded(
        `its processes together held ${Math.round(memory)} MB of memory, and may hold ${limits.totalMemoryMb} MB`,
      );
    if (!looking && performance.now() >= resting) void lookAtDisk();
  }, everyMs);
  timer.unref();
  return Object.assign(seen, {
    end: () => {
      ended = true;
      clearInterval(timer);
    },
  });
}
