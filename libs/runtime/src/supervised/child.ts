import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { endGroup, identityOf, killTree, signalTree, type ProcessIdentity } from './processes.ts';
import type { ProcessLogFile } from './process-log.ts';

/** A process that prints more than its log takes is read on after this long: it waits, the server does not. */
const breatheMs = 100;
const maxPartialLine = 8_000;

/** One run of a supervised command: the leader of a session and group of its own, with a log and no input. */
export class Child {
  readonly identity: ProcessIdentity;
  /** How it ended, in words. Everything that it had started is still to be ended then. */
  readonly ended: Promise<string>;

  private constructor(
    identity: ProcessIdentity,
    private readonly cookie: string,
    ended: Promise<string>,
  ) {
    this.identity = identity;
    this.ended = ended;
  }

  /** Rejects when the program cannot be run. */
  static async start(o: {
    command: readonly string[];
    folder: string;
    env: Record<string, string>;
    cookie: string;
    /** Not to be written to the log, whoever prints it. */
    secret: string;
    log: ProcessLogFile;
  }): Promise<Child> {
    const [program, ...args] = o.command;
    if (program === undefined) throw new Error('A command has at least a program.');
    const child = spawn(program, args, {
      cwd: o.folder,
      env: o.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      shell: false,
    });
    const ended = new Promise<string>((resolve) =>
      child.once('exit', (code, signal) => {
        // At this moment the number is still its group's or nobody's; what left the group is found by its mark.
        if (child.pid !== undefined) endGroup(child.pid);
        resolve(signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`);
      }),
    );
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    child.on('error', () => {});
    readLines(child.stdout, o.log, 'stdout', o.secret);
    readLines(child.stderr, o.log, 'stderr', o.secret);
    const pid = child.pid ?? 0;
    // Ended already, so nobody can be taken for it: a start that no process has.
    return new Child(identityOf(pid) ?? { pid, startedTicks: -1 }, o.cookie, ended);
  }

  /** Asks all of it to end, then ends it. Answers with what could not be ended. */
  async stop(graceMs: number): Promise<number[]> {
    signalTree(this.identity, this.cookie, 'SIGTERM');
    const enough = new AbortController();
    await Promise.race([this.ended, pause(graceMs, undefined, { signal: enough.signal }).catch(() => {})]);
    enough.abort();
    return this.kill();
  }

  kill(): Promise<number[]> {
    return killTree(this.identity, this.cookie);
  }
}

function readLines(from: Readable, log: ProcessLogFile, stream: 'stdout' | 'stderr', secret: string): void {
  let partial = '';
  const add = (line: string): void => log.add(stream, line.replaceAll(secret, '********'));
  from.setEncoding('utf8');
  from.on('error', () => {});
  from.on('data', (text: string) => {
    const lines = (partial + text).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) add(line);
    if (partial.length > maxPartialLine) {
      add(partial);
      partial = '';
    }
    if (!log.full) return;
    from.pause();
    void log.flushed().then(() => setTimeout(() => from.resume(), breatheMs));
  });
  from.on('end', () => {
    if (partial !== '') add(partial);
  });
}
