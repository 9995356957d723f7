import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, existsSync, type WriteStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

export interface ServerOptions {
  readonly entry: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly log: string;
  /** The environment that the demo itself was started with. */
  readonly inherited: NodeJS.ProcessEnv;
  readonly onRestart: (how: string) => void;
}

const readyWithinMs = 120_000;
const maxRestarts = 50;

/** A port that nobody listens on at this moment. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no free port')),
      );
    });
  });

/** The demo's own server: started, watched, and started again whenever it dies, as a service manager would. */
export class ServerProcess {
  readonly url: string;
  readonly #options: ServerOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | null = null;
  #stopping = false;
  #restarts = 0;
  #failure: Error | null = null;

  private constructor(options: ServerOptions, port: number) {
    this.#options = options;
    this.url = `http://127.0.0.1:${port}`;
    this.#log = createWriteStream(options.log, { flags: 'a' });
  }

  /** Nothing runs yet: whoever is interrupted from here on can stop what `start` starts. */
  static async prepare(options: ServerOptions): Promise<ServerProcess> {
    if (!existsSync(options.entry))
      throw new Error(`There is no built server at ${options.entry}. Run npm run build first.`);
    const port = await freePort();
    return new ServerProcess(
      { ...options, env: { ...options.env, MUSTER_PORT: String(port), MUSTER_HOST: '127.0.0.1' } },
      port,
    );
  }

  async start(): Promise<void> {
    if (this.#stopping) throw new Error('The demo was stopped.');
    this.#spawn();
    await this.ready();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async ready(): Promise<void> {
    const until = Date.now() + readyWithinMs;
    while (Date.now() < until) {
      if (this.#failure) throw this.#failure;
      if (this.#stopping) throw new Error('The demo was stopped.');
      const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
      if (answer?.ok) return;
      await wait(150);
    }
    throw new Error(`The server was not ready within ${readyWithinMs / 1_000} seconds. ${await this.#tail()}`);
  }

  #spawn(): void {
    const inherited = Object.fromEntries(
      Object.entries(this.#options.inherited).filter(
        ([name]) => !name.startsWith('MUSTER_') && name !== 'DATABASE_URL' && name !== 'REDIS_URL',
      ),
    );
    // A group of its own: Ctrl-C reaches the demo first, which then stops the server in order.
    const child = spawn(process.execPath, ['--enable-source-maps', this.#options.entry], {
      cwd: this.#options.folder,
      env: { ...inherited, ...this.#options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    child.stdout.pipe(this.#log, { end: false });
    child.stderr.pipe(this.#log, { end: false });
    const startedAt = Date.now();
    child.once('exit', (code, signal) => {
      this.#child = null;
      if (this.#stopping) return;
      const how = signal ?? `exit code ${code}`;
      const tooOften = (this.#restarts += 1) > maxRestarts;
      // One that ends by itself right away will do so again.
      const hopeless = signal === null && Date.now() - startedAt < 20_000 && code !== 0;
      if (tooOften || hopeless) {
        void this.#tail().then((tail) => (this.#failure = new Error(`The server ended with ${how}. ${tail}`)));
        return;
      }
      this.#options.onRestart(how);
      setTimeout(() => {
        if (!this.#stopping) this.#spawn();
      }, 200);
    });
    this.#child = child;
  }

  async #tail(): Promise<string> {
    const text = await readFile(this.#options.log, 'utf8').catch(() => '');
    return `Its last words:\n${text.trim().split('\n').slice(-15).join('\n')}`;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGTERM');
      await Promise.race([gone, wait(15_000, undefined, { ref: false })]);
      // What it had started and was not done with goes too, an initialisation of its database for instance.
      if (child.pid !== undefined) killGroup(child.pid);
      await Promise.race([gone, wait(3_000, undefined, { ref: false })]);
    }
    await this.#stopOrphanedPostgres();
    this.#log.end();
  }

  /** A server that was killed outright leaves its PostgreSQL running; its own pid file says which process that is. */
  async #stopOrphanedPostgres(): Promise<void> {
    const data = this.#options.env['MUSTER_DATA_DIR'];
    if (data === undefined) return;
    const folders = [
      data,
      ...(await readdir(data, { withFileTypes: true }).catch(() => []))
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(data, entry.name)),
    ];
    for (const folder of folders) {
      for (const file of [join(folder, 'postmaster.pid'), join(folder, 'data', 'postmaster.pid')]) {
        const pid = Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0]);
        if (!Number.isInteger(pid) || pid <= 1) continue;
        try {
          process.kill(pid, 'SIGINT');
        } catch {
          continue;
        }
        for (let tries = 0; tries < 30 && existsSync(file); tries += 1) await wait(100);
      }
    }
  }
}

const killGroup = (pid: number): void => {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // gone already
  }
};
