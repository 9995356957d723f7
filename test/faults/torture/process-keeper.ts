import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Program {
  readonly name: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly log: string;
}

/** One process that is started again whenever it is gone, as a service manager would. */
export class ProcessKeeper {
  lives = 0;
  /** Ends that nobody had caused. */
  readonly crashes: string[] = [];
  #child: ChildProcess | null = null;
  #stopped = false;
  #killed = false;
  #paused = false;
  #tail = '';
  readonly #log: WriteStream;

  readonly program: Program;
  /** Extra environment for each life. */
  readonly #lifeEnv: (life: number) => Readonly<Record<string, string>>;
  /** Whether an end by itself is nothing to wonder about at this moment. */
  readonly #excused: (tail: string) => boolean;

  constructor(
    program: Program,
    lifeEnv: (life: number) => Readonly<Record<string, string>> = () => ({}),
    excused: (tail: string) => boolean = () => false,
  ) {
    this.program = program;
    this.#lifeEnv = lifeEnv;
    this.#excused = excused;
    this.#log = createWriteStream(program.log, { flags: 'a' });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }
  get running(): boolean {
    return this.#child !== null && !this.#paused;
  }

  start(): void {
    if (this.#stopped || this.#child !== null) return;
    this.lives += 1;
    this.#killed = false;
    this.#paused = false;
    this.#tail = '';
    const { args, cwd, env } = this.program;
    const child = spawn(process.execPath, [...args], {
      cwd,
      env: { ...env, ...this.#lifeEnv(this.lives) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.#tail = (this.#tail + chunk.toString('utf8')).slice(-4000);
        this.#log.write(chunk);
      });
    child.once('exit', (code, signal) => {
      this.#child = null;
      this.#log.write(`--- life ${this.lives} ended with ${signal ?? code}\n`);
      if (this.#stopped) return;
      if (!this.#killed && !this.#excused(this.#tail))
        this.crashes.push(`${this.program.name} ended with ${signal ?? `code ${code}`}: ${this.#tail.slice(-600)}`);
      setTimeout(() => this.start(), 50);
    });
    this.#child = child;
  }

  kill(): void {
    this.#killed = true;
    this.#child?.kill('SIGKILL');
  }

  /** Stops it where it stands; it wakes up in the middle of whatever it was doing. */
  async pause(ms: number): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.kill('SIGSTOP');
    this.#paused = true;
    await sleep(ms);
    child.kill('SIGCONT');
    if (this.#child === child) this.#paused = false;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child !== null) {
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      await Promise.race([gone, sleep(8000, undefined, { ref: false })]);
      child.kill('SIGKILL');
      await Promise.race([gone, sleep(2000, undefined, { ref: false })]);
    }
    this.#log.end();
  }
}
