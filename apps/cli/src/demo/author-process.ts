import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface AuthorEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}
export interface AuthorOptions {
  readonly role: string;
  /** The agent definition that it is an instance of. */
  readonly agent: string;
  readonly capability: string;
}

/** The example agents, each a process of its own that knows Muster's URL and an agent's key and nothing else. */
export class Authors {
  readonly #running = new Set<AuthorProcess>();
  #closed = false;

  constructor(
    private readonly program: string,
    private readonly env: NodeJS.ProcessEnv,
    private readonly url: string,
    private readonly token: string,
  ) {}

  start(options: AuthorOptions): AuthorProcess {
    if (this.#closed) throw new Error('The demo was stopped.');
    const inherited = Object.fromEntries(Object.entries(this.env).filter(([name]) => !name.startsWith('MUSTER_')));
    const child = spawn(
      process.execPath,
      [this.program, '--role', options.role, '--name', options.agent, '--capability', options.capability],
      {
        env: { ...inherited, MUSTER_URL: this.url, MUSTER_TOKEN: this.token },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      },
    );
    const author = new AuthorProcess(child);
    this.#running.add(author);
    child.once('exit', () => this.#running.delete(author));
    return author;
  }

  /** Every one that is left, at once; none comes after. */
  killAll(): void {
    this.#closed = true;
    for (const author of this.#running) author.kill('SIGKILL');
  }
}

export class AuthorProcess {
  readonly events: AuthorEvent[] = [];
  #stderr = '';
  #wake: () => void = () => undefined;

  constructor(private readonly child: ChildProcess) {
    if (child.stdout)
      createInterface({ input: child.stdout }).on('line', (line) => {
        try {
          this.events.push(JSON.parse(line) as AuthorEvent);
        } catch {
          return;
        }
        this.#wake();
      });
    child.stderr?.on('data', (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-4_000)));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }
  get lastWords(): string {
    return this.#stderr.trim();
  }

  /** The first event, past or to come, that fits; null when the time is over. */
  async event(fits: (event: AuthorEvent) => boolean, seconds: number): Promise<AuthorEvent | null> {
    const until = Date.now() + seconds * 1_000;
    for (;;) {
      const found = this.events.find(fits);
      if (found) return found;
      const left = until - Date.now();
      if (left <= 0 || this.child.exitCode !== null) return null;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 1_000));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Signals the process and what it started. */
  kill(signal: NodeJS.Signals): void {
    if (this.child.exitCode !== null || this.child.signalCode !== null || this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // gone already
    }
  }
}
