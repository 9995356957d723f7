import { type ChildProcess, spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { Injectable } from '@nestjs/common';
import { MusterError } from '#kernel';
import { childEnvironment } from '#platform/config';

/** The git program refused or failed. A bug or a broken disk unless the caller turns it into an error of its own. */
export class GitFailed extends Error {
  constructor(
    readonly command: string,
    readonly exitCode: number,
    readonly stderr: string,
    readonly stdout: Buffer,
  ) {
    super(`git ${command} ended with ${exitCode}: ${stderr.trim().slice(0, 2000)}`);
    this.name = 'GitFailed';
  }
}

/** The repositories' disk has no room: nothing was changed, and it can be tried again once there is some. */
export class DiskFull extends MusterError {
  constructor(cause: GitFailed) {
    super(
      'git.disk_full',
      507,
      'The disk that holds the repositories is full; nothing was changed. Make room, then try again: what was on its way goes on by itself.',
      { cause },
    );
  }
}
const NO_ROOM = /No space left on device|Out of diskspace|Disk quota exceeded/i;

export interface GitRun {
  readonly input?: string | Buffer;
  readonly env?: Record<string, string>;
  /** Exit codes that are answers; default: 0 only. */
  readonly ok?: readonly number[];
  readonly timeoutMs?: number;
  /** More output than this ends the run as failed: nobody's repository fills our memory. */
  readonly maxBytes?: number;
  /** Ends the run and everything that it started. */
  readonly signal?: AbortSignal;
  /** For runs of minutes, which their caller limits: takes none of the places that short runs share. */
  readonly apart?: boolean;
}
export interface GitResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly code: number;
}

/** More at once only makes each slower: git is bound by disk and processor. */
const PROCESSES_AT_ONCE = 8;

/** Settings of every call: no hooks, no housekeeping behind our back, names that no file system may read as `.git`. */
const settings = [
  'core.hooksPath=/dev/null',
  'core.attributesFile=/dev/null',
  'core.protectHFS=true',
  'core.protectNTFS=true',
  'core.quotePath=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'safe.directory=*',
  'advice.detachedHead=false',
];

/** Ends a child that leads a process group, and everything in the group. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // it ended by itself
  }
}

/** The git program in an environment of ours: nobody's configuration, no prompts, no network unless asked for. */
@Injectable()
export class Git {
  private running = 0;
  private readonly queue: Array<() => void> = [];

  environment(dir: string, extra: Record<string, string> = {}): Record<string, string> {
    return {
      PATH: childEnvironment({})['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
      HOME: '/nonexistent',
      LC_ALL: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: '/bin/false',
      GIT_NO_REPLACE_OBJECTS: '1',
      GIT_LITERAL_PATHSPECS: '1',
      // An empty list: no transport at all. Imports name theirs.
      GIT_ALLOW_PROTOCOL: '',
      GIT_CEILING_DIRECTORIES: dirname(dir),
      ...extra,
    };
  }

  /** Arguments before the subcommand, for callers that start git themselves because they stream. */
  prefix(): string[] {
    return settings.flatMap((setting) => ['-c', setting]);
  }

  /** @param args ours; an outsider's word stands only behind `--` or `--end-of-options`, or goes in through `input` */
  async run(dir: string, args: readonly string[], options: GitRun = {}): Promise<GitResult> {
    if (options.apart === true) return this.start(dir, args, options);
    await this.enter();
    try {
      return await this.start(dir, args, options);
    } finally {
      this.leave();
    }
  }

  async text(dir: string, args: readonly string[], options: GitRun = {}): Promise<string> {
    return (await this.run(dir, args, options)).stdout.toString('utf8').trimEnd();
  }

  private start(dir: string, args: readonly string[], options: GitRun): Promise<GitResult> {
    const { input, env, ok = [0], timeoutMs = 120_000, maxBytes = 256 * 1024 * 1024, signal } = options;
    return new Promise((resolve, reject) => {
      const child = spawn('git', [...this.prefix(), ...args], {
        cwd: dir,
        env: this.environment(dir, env),
        stdio: ['pipe', 'pipe', 'pipe'],
        // A group of its own, so that its helpers (transport, index-pack) can be ended with it.
        detached: true,
      });
      const out: Buffer[] = [];
      let bytes = 0;
      let stderr = '';
      let stopped = '';
      const stop = (why: string) => {
        stopped ||= why;
        killGroup(child);
      };
      const abort = () => stop('stopped by its caller');
      if (signal?.aborted === true) abort();
      signal?.addEventListener('abort', abort, { once: true });
      const timer = setTimeout(() => stop(`stopped after ${timeoutMs} ms`), timeoutMs);
      child.stdout.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxBytes) stop(`stopped after ${maxBytes} bytes of output`);
        else out.push(chunk);
      });
      child.stderr.on('data', (chunk: Buffer) => {
        if (stderr.length < 64 * 1024) stderr += chunk.toString('utf8');
      });
      // git may end before it has read everything; its exit code says so, the broken pipe does not matter.
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
      child.on('error', (cause) => {
        clearTimeout(timer);
        reject(
          new Error('The program `git` could not be started. Install git 2.38 or newer and put it on PATH.', { cause }),
        );
      });
      child.on('close', (code) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        const result = {
          stdout: Buffer.concat(out),
          stderr: stopped === '' ? stderr : `${stderr}\n${stopped}`,
          code: code ?? -1,
        };
        if (stopped === '' && ok.includes(result.code)) resolve(result);
        else {
          const failure = new GitFailed(args[0] ?? '', result.code, result.stderr, result.stdout);
          reject(NO_ROOM.test(result.stderr) ? new DiskFull(failure) : failure);
        }
      });
    });
  }

  private async enter(): Promise<void> {
    if (this.running < PROCESSES_AT_ONCE) this.running += 1;
    else await new Promise<void>((resolve) => this.queue.push(resolve));
  }

  /** Hands the place to the next in line, so that the count never dips below what runs. */
  private leave(): void {
    const next = this.queue.shift();
    if (next) next();
    else this.running -= 1;
  }
}
