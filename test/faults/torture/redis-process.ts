import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';

/** A Redis that may be flushed and killed; null where redis-server is not installed. */
export class RedisProcess {
  flushed = 0;
  killed = 0;
  /** Connections of Muster's servers that were ever seen on it. */
  clientsSeen = 0;
  #child: ChildProcess | null = null;
  #stopped = false;

  readonly port: number;
  readonly #folder: string;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
  }

  static async start(folder: string, say: (text: string) => void): Promise<RedisProcess | null> {
    if (spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status !== 0) {
      say(
        '!! redis-server is not installed: nothing is done to Redis in this run. On Debian: apt-get install redis-server',
      );
      return null;
    }
    const port = await new Promise<number>((resolve, reject) => {
      const probe = createServer().once('error', reject);
      probe.listen(0, '127.0.0.1', () => {
        const address = probe.address();
        probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
      });
    });
    const redis = new RedisProcess(port, folder);
    redis.#spawn();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async look(): Promise<void> {
    const list = await this.#ask((client) => client.client('LIST') as Promise<string>);
    const others = (list ?? '').split('\n').filter((line) => line.includes('id=')).length - 1;
    this.clientsSeen = Math.max(this.clientsSeen, others);
  }

  async flush(): Promise<void> {
    await this.look();
    if ((await this.#ask((client) => client.flushall())) !== null) this.flushed += 1;
  }

  async kill(): Promise<void> {
    await this.look();
    this.#child?.kill('SIGKILL');
    this.killed += 1;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child === null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await gone;
  }

  async #ask<T>(question: (client: Redis) => Promise<T>): Promise<T | null> {
    const client = new Redis(this.port, '127.0.0.1', {
      lazyConnect: true,
      maxRetriesPerRequest: 1,
      retryStrategy: () => null,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await question(client);
    } catch {
      return null;
    } finally {
      client.disconnect();
    }
  }

  #spawn(): void {
    const child = spawn(
      'redis-server',
      ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.#folder],
      { stdio: 'ignore' },
    );
    child.once('exit', () => {
      this.#child = null;
      if (!this.#stopped) setTimeout(() => this.#spawn(), 1000);
    });
    child.once('error', () => (this.#child = null));
    this.#child = child;
  }
}
