import { type ChildProcess, spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { MusterError } from '#kernel';
import { childEnvironment } from '#platform/config';
import { Conversation, ConversationEnded, type Reader } from './conversation.ts';

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
  constructor(cause: Error) {
    super(
      'git.disk_full',
      507,
      'The disk that holds the repositories is full; nothing was changed. Make room, then try again: what was on its way goes on by itself.',
      { cause },
    );
  }
}
const NO_ROOM = /No space left on device|Out of diskspace|Disk quota exceeded/i;
const failureOf = (failure: GitFailed): GitFailed | DiskFull =>
  NO_ROOM.test(failure.stderr) ? new DiskFull(failure) : failure;

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
/** Processes that wait to be asked again: those of five busy repositories, some megabytes each. More than are ever busy at once. */
const MOST_STANDING = 32;
const STANDS_IDLE_MS = 20_000;
/** A process that has read much of a repository remembers it all. */
const MOST_ASKED = 2_000;

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

/**
 * Packing takes folders of objects away as they become empty. Git makes one that is missing, once, and gives up where it was taken away again between that
 * and its file: before any ref moves, and objects may be written twice.
 */
export const lostItsFolder = (error: unknown): boolean =>
  error instanceof GitFailed &&
  // Not one that we ended.
  error.exitCode > 0 &&
  /unable to create temporary file: No such file or directory/.test(error.stderr);

/** A process that is asked more than once, and who waits to ask it. */
interface Standing {
  conversation: Conversation | null;
  /** Until the last of those who asked has its answer. */
  turn: Promise<unknown>;
  waiting: number;
  idle: NodeJS.Timeout | undefined;
}

/** The git program in an environment of ours: nobody's configuration, no prompts, no network unless asked for. */
@Injectable()
export class Git implements OnApplicationShutdown {
  private running = 0;
  private readonly queue: Array<() => void> = [];
  /** By repository and command, the one that was asked last at the end. */
  private readonly standing = new Map<string, Standing>();

  onApplicationShutdown(): void {
    for (const key of this.standing.keys()) this.dismiss(key);
  }

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
    const now = (): Promise<GitResult> =>
      this.start(dir, args, options).catch((error: unknown) => {
        if (lostItsFolder(error)) return this.start(dir, args, options);
        throw error;
      });
    if (options.apart === true) return now();
    await this.enter();
    try {
      return await now();
    } finally {
      this.leave();
    }
  }

  async text(dir: string, args: readonly string[], options: GitRun = {}): Promise<string> {
    return (await this.run(dir, args, options)).stdout.toString('utf8').trimEnd();
  }

  /**
   * Asks a process of git that stays for the next question, such as `cat-file --batch-command`: one for each repository and command.
   * @param question ours, as the arguments of `run` are, with whatever ends it
   */
  async ask<T>(
    dir: string,
    args: readonly string[],
    question: string | Buffer,
    read: Reader<T>,
    timeoutMs = 120_000,
  ): Promise<T> {
    const key = [dir, ...args].join('\0');
    const place = this.standing.get(key) ?? {
      conversation: null,
      turn: Promise.resolve(),
      waiting: 0,
      idle: undefined,
    };
    this.standing.delete(key);
    this.standing.set(key, place);
    clearTimeout(place.idle);
    place.waiting += 1;
    const now = (): Promise<T> => this.askNow(place, dir, args, question, read, timeoutMs);
    const asked = place.turn.then(now).catch((error: unknown) => {
      if (lostItsFolder(error)) return now();
      throw error;
    });
    place.turn = asked.catch(() => undefined);
    try {
      return await asked;
    } finally {
      place.waiting -= 1;
      if (place.waiting === 0) {
        if (this.standing.get(key) === place) place.idle = setTimeout(() => this.dismiss(key), STANDS_IDLE_MS).unref();
        else place.conversation?.close();
      }
    }
  }

  /** Ends what stands for a repository that is to go. */
  forget(dir: string): void {
    for (const key of this.standing.keys()) if (key.startsWith(`${dir}\0`)) this.dismiss(key);
  }

  private async askNow<T>(
    place: Standing,
    dir: string,
    args: readonly string[],
    question: string | Buffer,
    read: Reader<T>,
    timeoutMs: number,
  ): Promise<T> {
    await this.enter();
    try {
      if (place.conversation === null || place.conversation.over) place.conversation = this.converse(dir, args);
      return await place.conversation.ask(question, read, timeoutMs);
    } catch (error) {
      place.conversation?.close();
      place.conversation = null;
      if (!(error instanceof ConversationEnded)) throw error;
      const { code, stderr } = error.ended;
      throw failureOf(new GitFailed(args[0] ?? '', code, stderr, Buffer.alloc(0)));
    } finally {
      this.leave();
      if (place.conversation !== null && place.conversation.asked >= MOST_ASKED) {
        place.conversation.close();
        place.conversation = null;
      }
    }
  }

  private converse(dir: string, args: readonly string[]): Conversation {
    const open = [...this.standing].filter(([, { conversation }]) => conversation !== null);
    const idle = open.find(([, { waiting }]) => waiting === 0);
    if (open.length >= MOST_STANDING && idle !== undefined) this.dismiss(idle[0]);
    const child = spawn('git', [...this.prefix(), ...args], {
      cwd: dir,
      env: this.environment(dir),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    return new Conversation(child, () => killGroup(child));
  }

  /** Who has asked already is answered first. */
  private dismiss(key: string): void {
    const place = this.standing.get(key);
    clearTimeout(place?.idle);
    this.standing.delete(key);
    if (place?.waiting === 0) place.conversation?.close();
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
        else reject(failureOf(new GitFailed(args[0] ?? '', result.code, result.stderr, result.stdout)));
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
