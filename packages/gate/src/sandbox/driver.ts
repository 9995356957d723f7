import { spawn } from 'node:child_process';
import { availableParallelism, userInfo } from 'node:os';
import type { Cgroups, RunGroup } from './cgroup.ts';
import { memoryInWords, processesBelow, watchTotals, type TotalLimits } from './totals.ts';
import type { Reads, Watch } from './watch.ts';

export interface SandboxMount {
  /** A folder or file of the host; for `tmpfs` nothing. */
  from: string;
  to: string;
  mode: 'ro' | 'rw' | 'tmpfs';
}

export interface SandboxLimits extends TotalLimits {
  timeoutMs: number;
  /** Per process (RLIMIT_DATA): V8 and WASM reserve address space, so the address space itself is not limited. */
  memoryMb: number;
  processes: number;
  /** Cores' worth of time, where the kernel keeps groups to it; else all that there are. */
  cpus: number;
  /** Of stdout and of stderr each; the tail is kept. */
  outputBytes: number;
  /** The largest file that may be written. */
  fileMb: number;
}

export const defaultLimits: SandboxLimits = {
  timeoutMs: 120_000,
  memoryMb: 4096,
  processes: 512,
  cpus: availableParallelism(),
  outputBytes: 1_000_000,
  fileMb: 512,
  totalMemoryMb: 6144,
  diskMb: 2048,
};

export interface SandboxRun {
  /** A program with its arguments, or one line for `sh -c`. */
  command: readonly string[] | string;
  /** The host's folder that is the current folder inside, at `sandboxPaths.work`, writable. */
  workDir: string;
  mounts?: readonly SandboxMount[];
  /** All that the command sees of an environment, apart from PATH, HOME, CI and LANG. */
  env?: Readonly<Record<string, string>>;
  limits?: Partial<SandboxLimits>;
  /** `none` has a loopback of its own; `registry` shares the host's network and is only for programs that we trust. */
  network?: 'none' | 'registry';
  /** A host folder that appears at `sandboxPaths.report`; read what lies there with `readReport` only. */
  reportDir?: string;
  signal?: AbortSignal;
  /** true: where the driver can, the result says what was read of the work folder. */
  watched?: boolean;
  /** Where the kernel holds a run as a whole to its limits; `detectSandbox` gives them. */
  groups?: Cgroups;
  /** What the command prints, as it does, without a limit: whoever listens keeps as much as they can bear. */
  onOutput?: OutputListener;
}

export type OutputListener = (chunk: Buffer, stream: 'stdout' | 'stderr') => void;

export interface SandboxResult {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  /** Which limit on all of it together ended the run, in words; null when none did. */
  stopped: string | null;
  /** The most that its processes were seen to hold at once, and to have written. */
  peakMemoryMb: number;
  writtenMb: number;
  stdout: string;
  stderr: string;
  ms: number;
  /** What was read of the work folder, as the kernel has it; absent: not known, and so everything. */
  reads?: Reads;
}

/** Runs one command that nobody trusts. A driver is used only after `detectSandbox` has seen it withstand escapes. */
export interface SandboxDriver {
  readonly name: string;
  run(run: SandboxRun): Promise<SandboxResult>;
  /** Where the work and report folders are for the command. Drivers without a private mount tree keep the host's paths. */
  paths(run: Pick<SandboxRun, 'workDir' | 'reportDir'>): { work: string; report: string };
  /** Below which every folder of a run has to lie; absent: anywhere. */
  readonly scratch?: string;
  /** It can say what a run has read; whether that is true here, `proveWatching` finds out. */
  readonly watches?: boolean;
  /** What a run could be tempted to reach besides this machine. */
  targets?(): Promise<{ host: string; port: number }[]>;
}

/** The sandbox could not be set up; says nothing about the command. */
export class SandboxError extends Error {
  override readonly name = 'SandboxError';
}

/** Folders as a command sees them that runs behind walls of its own. `reporters` holds the channel that they speak into; read-only. */
export const sandboxPaths = {
  work: '/work',
  report: '/muster/report',
  reporters: '/muster/reporters',
  node: '/opt/node/bin',
  /** Packages for Python. */
  python: '/opt/python',
} as const;

export const isRoot = (): boolean => userInfo().uid === 0;

/** Host ids for dropped runs: away from people and services, within the 65,536 that containers usually map. */
const firstUid = 60_100;
const uids = 4_000;
const taken = new Set<number>();

/** One unprivileged host user per concurrent run, so that runs cannot signal or count against one another. */
export async function withUid<T>(work: (uid: number) => Promise<T>): Promise<T> {
  let uid = firstUid + ((process.pid * 16) % uids);
  while (taken.has(uid)) uid = firstUid + ((uid + 1 - firstUid) % uids);
  taken.add(uid);
  try {
    return await work(uid);
  } finally {
    taken.delete(uid);
  }
}

export function commandLine(command: SandboxRun['command']): string[] {
  return typeof command === 'string' ? ['/bin/sh', '-c', command] : [...command];
}

/** Keeps the last bytes: a failing build says why at its end. */
export class Tail {
  private chunks: Buffer[] = [];
  private size = 0;
  private dropped = false;
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.size += chunk.length;
    while (this.size > this.limit && this.chunks.length > 1) {
      this.size -= this.chunks.shift()!.length;
      this.dropped = true;
    }
  }

  toString(): string {
    let bytes = Buffer.concat(this.chunks);
    if (bytes.length > this.limit) {
      bytes = bytes.subarray(bytes.length - this.limit);
      this.dropped = true;
    }
    return (this.dropped ? '[…]\n' : '') + bytes.toString('utf8');
  }
}

const kill = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it is gone already
  }
};

/** Kills a process and everything below it, children first read and then killed so that none is orphaned meanwhile. */
function killTree(pid: number): void {
  for (const each of processesBelow(pid)) kill(each);
  kill(-pid);
}

interface LaunchOptions {
  env: Record<string, string>;
  cwd?: string;
  limits: SandboxLimits;
  /** Folders of the host that the run may write to. */
  writable: readonly string[];
  watched?: { readonly folder: string; readonly watch: Watch } | null;
  signal: AbortSignal | undefined;
  groups: Cgroups | undefined;
  handshake: boolean;
  onOutput: OutputListener | undefined;
}

/** Something that was ended while the walls went up says nothing about the next try. */
const SETUP_TRIES = 3;

/**
 * Starts the outermost program of a driver. With `handshake`, that program writes to file descriptor 3 once the walls stand;
 * without that word the failure is the sandbox's, not the command's, and nothing of the command has run.
 */
export async function launch(argv: readonly string[], options: LaunchOptions): Promise<SandboxResult> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await launchOnce(argv, options);
    } catch (error) {
      if (!(error instanceof SandboxError) || tries === SETUP_TRIES) throw error;
    }
  }
}

async function launchOnce(argv: readonly string[], options: LaunchOptions): Promise<SandboxResult> {
  const started = performance.now();
  options.signal?.throwIfAborted();
  const group = groupFor(options);
  const line = [...(group?.enter ?? []), ...argv];
  const child = spawn(line[0]!, line.slice(1), {
    cwd: options.cwd ?? '/',
    env: options.env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', ...(options.handshake ? ['pipe' as const] : [])],
  });
  const stdout = new Tail(options.limits.outputBytes);
  const stderr = new Tail(options.limits.outputBytes);
  let ready = !options.handshake;
  let timedOut = false;
  child.stdout!.on('data', (chunk: Buffer) => {
    stdout.push(chunk);
    options.onOutput?.(chunk, 'stdout');
  });
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr.push(chunk);
    options.onOutput?.(chunk, 'stderr');
  });
  if (options.handshake) child.stdio[3]!.on('data', () => (ready = true));
  const stop = (): void => {
    if (child.pid !== undefined) killTree(child.pid);
    group?.end();
    // A process that kept a pipe open in some corner must not keep us waiting.
    setTimeout(() => {
      child.stdout!.destroy();
      child.stderr!.destroy();
    }, 1000).unref();
  };
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, options.limits.timeoutMs);
  const totals = watchTotals(child.pid, options.writable, options.limits, stop, {
    outOfMemory: () => group?.outOfMemory() === true,
    watched: options.watched ?? null,
  });
  options.signal?.addEventListener('abort', stop);
  try {
    const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.on('error', (error) => reject(new SandboxError(`${argv[0]} could not be started: ${error.message}`)));
      child.on('close', (code, by) => resolve([code, by]));
    });
    options.signal?.throwIfAborted();
    // Where the kernel ends one process only, the others may have gone on, and what they came to says nothing.
    const stopped = totals.stopped ?? (group?.outOfMemory() === true ? memoryInWords(options.limits) : null);
    if (!ready && !timedOut && stopped === null) {
      throw new SandboxError(
        `the sandbox could not be set up: ${stderr.toString().trim().slice(-2000) || `exit ${exitCode}`}`,
      );
    }
    return {
      exitCode: timedOut || stopped !== null ? null : exitCode,
      signal,
      timedOut,
      stopped,
      peakMemoryMb: Math.round(totals.peakMemoryMb),
      writtenMb: Math.round(totals.writtenMb),
      stdout: stdout.toString(),
      // Among its last words, where people look for the reason.
      stderr: stopped === null ? stderr.toString() : `${stderr.toString()}\n[stopped by the sandbox: ${stopped}]\n`,
      ms: Math.round(performance.now() - started),
    };
  } finally {
    totals.end();
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', stop);
    await group?.remove();
  }
}

function groupFor({ groups, limits }: LaunchOptions): RunGroup | null {
  try {
    return groups?.create(limits) ?? null;
  } catch (error) {
    throw new SandboxError(`no group could be made for the run: ${String(error)}`);
  }
}
