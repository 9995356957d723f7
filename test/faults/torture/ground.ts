import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres, type PostgresServer } from '../../../libs/platform/src/database/embedded-postgres.ts';
import { PostgresProxy } from './postgres-proxy.ts';
import { Processors } from './processors.ts';
import { ProcessKeeper } from './process-keeper.ts';
import type { Random } from './random.ts';
import { RedisProcess } from './redis-process.ts';
import { ServerDoor, type Behind } from './server-door.ts';
import { fakedClock, type FakedClock } from './wall-clock.ts';

const root = resolve(import.meta.dirname, '../../..');
const { bundle } = (await import(new URL('../../../tools/bundle.mjs', import.meta.url).href)) as {
  readonly bundle: (program: { from: string; to: string }) => Promise<void>;
};
export const password = 'a password for the torture';

export interface GroundOptions {
  readonly leaseSeconds: number;
  readonly agents: number;
  readonly capacity: number;
  readonly random: Random;
  readonly costUsd: number;
  readonly say: (text: string) => void;
}

export interface ServerProcess extends Behind {
  readonly keeper: ProcessKeeper;
  readonly clock: FakedClock | null;
  ready: boolean;
}
export interface AgentProcess {
  readonly name: string;
  readonly keeper: ProcessKeeper;
  readonly door: ServerDoor;
  readonly journal: string;
  readonly clock: FakedClock | null;
}

/** What runs: one PostgreSQL, three servers on it, agents behind doors of their own, and a Redis where there is one. */
export class Ground {
  readonly servers: ServerProcess[] = [];
  readonly agents: AgentProcess[] = [];
  readonly outages: { fromMs: number; toMs: number }[] = [];
  postgresDown = false;
  redis: RedisProcess | null = null;
  readonly processors = new Processors([
    { kind: 'servers', pids: () => this.servers.flatMap(({ keeper }) => keeper.pid ?? []) },
    { kind: 'agents', pids: () => this.agents.flatMap(({ keeper }) => keeper.pid ?? []) },
    { kind: 'postgresql', pids: () => (this.#postgresPid === null ? [] : [this.#postgresPid]), withChildren: true },
    { kind: 'clients, doors and checks', pids: () => [process.pid] },
  ]);
  #postgresPid: number | null = null;
  #postgres!: PostgresServer;
  #proxy!: PostgresProxy;
  #watch: NodeJS.Timeout | undefined;
  readonly doors: ServerDoor[] = [];

  readonly folder: string;
  readonly options: GroundOptions;

  readonly #agentProgram: string;

  private constructor(folder: string, options: GroundOptions) {
    this.folder = folder;
    this.#agentProgram = join(folder, 'agent-process.mjs');
    this.options = options;
  }

  static async prepare(options: GroundOptions): Promise<Ground> {
    const folder = await mkdtemp(join(tmpdir(), 'muster-torture-'));
    const ground = new Ground(folder, options);
    // Packed, as the server is: what dies each second spends its life on what is tortured, not on opening modules.
    await bundle({ from: join(import.meta.dirname, 'agent-process.ts'), to: ground.#agentProgram });
    return ground;
  }

  async begin(): Promise<void> {
    this.#postgres = await this.#startPostgres();
    this.#proxy = new PostgresProxy(() => this.postgresPort, this.options.random);
    const port = await this.#proxy.listen();
    const proxied = new URL(this.#postgres.url);
    proxied.port = String(port);
    this.redis = await RedisProcess.start(this.folder, this.options.say);
    // One alone first: it makes the tables and the administrator.
    await this.#addServer('server-1', 'all', proxied.href);
    await this.untilReady(1);
    await this.#addServer('server-2', 'api', proxied.href);
    await this.#addServer('server-3', 'worker', proxied.href);
    await this.untilReady(3);
  }

  get databaseUrl(): string {
    return this.#postgres.url;
  }
  get postgresPort(): number {
    return Number(new URL(this.#postgres.url).port);
  }
  get commits(): { sent: number; cut: number } {
    return { sent: this.#proxy.commits, cut: this.#proxy.cut };
  }

  /** Past the doors, for who looks on. */
  directUrl(): string | null {
    const server = this.servers.find(({ ready }) => ready);
    return server === undefined ? null : `http://127.0.0.1:${server.port}`;
  }

  async openDoor(): Promise<{ door: ServerDoor; url: string }> {
    const door = new ServerDoor(() => this.servers, this.options.random);
    this.doors.push(door);
    return { door, url: await door.listen() };
  }

  /** The torture begins or ends: from now on this share of all replies is lost. */
  loseReplies(rate: number): void {
    this.#proxy.rate = rate;
    for (const door of this.doors) door.rate = rate;
  }

  async addAgent(place: number, agent: string, token: string): Promise<void> {
    const name = `agent-${place}`;
    const { door, url } = await this.openDoor();
    const journal = join(this.folder, `${name}.journal`);
    await writeFile(journal, '');
    const clock = await fakedClock(join(this.folder, `${name}.clock`));
    const keeper = new ProcessKeeper(
      {
        name,
        args: [this.#agentProgram],
        cwd: root,
        log: join(this.folder, `${name}.log`),
        env: {
          ...surroundings(this.folder),
          ...clock?.env,
          MUSTER_URL: url,
          MUSTER_TOKEN: token,
          TORTURE_JOURNAL: journal,
          TORTURE_AGENT: agent,
          TORTURE_CAPACITY: String(this.options.capacity),
          TORTURE_COST_USD: String(this.options.costUsd),
          // The last one cannot hold a socket.
          TORTURE_TRANSPORT: place === this.options.agents ? 'http' : 'socket',
        },
      },
      (life) => ({ TORTURE_LIFE: `${name}.${life}` }),
    );
    this.agents.push({ name, keeper, door, journal, clock });
    keeper.start();
  }

  async untilReady(count: number, patienceMs = 60_000): Promise<void> {
    for (const end = Date.now() + patienceMs; this.servers.filter(({ ready }) => ready).length < count;) {
      if (Date.now() > end)
        throw new Error(`${count} servers were not ready in ${patienceMs} ms; their logs are in ${this.folder}.`);
      await sleep(50);
    }
  }

  /** Immediately: as a crash, with the log to replay; then again on the same data. */
  async restartPostgres(): Promise<void> {
    const fromMs = Date.now();
    this.postgresDown = true;
    try {
      if (this.#postgresPid === null) throw new Error('PostgreSQL was not started.');
      this.processors.look(true);
      process.kill(this.#postgresPid, 'SIGQUIT');
      for (let tries = 0; tries < 400 && (await this.#postgres.alive()); tries += 1) await sleep(25);
      const again = await this.#startPostgres();
      if (again.url !== this.#postgres.url)
        throw new Error('PostgreSQL came back at another address: its port was taken meanwhile.');
      this.#postgres = again;
    } finally {
      this.postgresDown = false;
      this.outages.push({ fromMs, toMs: Date.now() });
    }
  }

  async stopServersAndAgents(): Promise<void> {
    await Promise.all(this.agents.map(({ keeper }) => keeper.stop()));
    clearInterval(this.#watch);
    await Promise.all(this.servers.map(({ keeper }) => keeper.stop()));
  }

  async close(): Promise<void> {
    await this.stopServersAndAgents();
    await Promise.all(this.doors.map((door) => door.close()));
    await (this.#proxy as PostgresProxy | undefined)?.close();
    await this.redis?.stop();
    await (this.#postgres as PostgresServer | undefined)?.stop();
  }

  async forget(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Keeps what is needed to look into a failure. */
  async keep(name: string, document: unknown): Promise<void> {
    await writeFile(join(this.folder, name), JSON.stringify(document, null, 1));
  }

  async #startPostgres(): Promise<PostgresServer> {
    const server = await startPostgres({
      folder: join(this.folder, 'postgres'),
      settings: { max_connections: 200, log_min_messages: 'fatal' },
    });
    const notes = await readFile(join(this.folder, 'postgres', 'data', 'postmaster.pid'), 'utf8');
    this.#postgresPid = Number(notes.split('\n')[0]);
    return server;
  }

  async #addServer(name: string, role: string, databaseUrl: string): Promise<void> {
    const dataDir = join(this.folder, name);
    await mkdir(dataDir, { mode: 0o711 });
    const port = await freePort();
    const clock = await fakedClock(join(this.folder, `${name}.clock`));
    const keeper = new ProcessKeeper(
      {
        name,
        args: [join(root, 'dist/apps/server/src/main.js')],
        cwd: root,
        log: join(this.folder, `${name}.log`),
        env: {
          ...surroundings(this.folder),
          ...clock?.env,
          DATABASE_URL: databaseUrl,
          ...(this.redis === null ? {} : { REDIS_URL: this.redis.url }),
          MUSTER_ROLE: role,
          MUSTER_DATA_DIR: dataDir,
          MUSTER_SHARED_DIR: join(this.folder, 'shared'),
          MUSTER_HOST: '127.0.0.1',
          MUSTER_PORT: String(port),
          MUSTER_ADMIN_PASSWORD: password,
          MUSTER_VERIFIERS: '0',
          MUSTER_LEASE_SECONDS: String(this.options.leaseSeconds),
          MUSTER_RETRY_DELAYS: '0.2,0.4,0.8',
          MUSTER_DRAIN_SECONDS: '5',
          MUSTER_LOG_LEVEL: 'warn',
          MUSTER_LOG_PRETTY: 'false',
        },
      },
      undefined,
      // A server that finds no PostgreSQL when it starts says so and ends: its keeper tries again.
      (tail) =>
        /cannot be used|Connection terminated|terminating connection|ECONNREFUSED|ECONNRESET/i.test(tail) &&
        !/ready|listening/i.test(tail),
    );
    const server: ServerProcess = { name, port, keeper, clock, ready: false };
    this.servers.push(server);
    keeper.start();
    this.#watch ??= setInterval(() => {
      this.processors.look();
      for (const each of this.servers) void this.#look(each);
    }, 200);
  }

  readonly #looking = new Set<ServerProcess>();

  async #look(server: ServerProcess): Promise<void> {
    if (!server.keeper.running) {
      server.ready = false;
      return;
    }
    if (this.#looking.has(server)) return;
    this.#looking.add(server);
    try {
      const answer = await fetch(`http://127.0.0.1:${server.port}/readyz`, { signal: AbortSignal.timeout(2500) });
      server.ready = answer.ok && server.keeper.running;
    } catch {
      server.ready = false;
    } finally {
      this.#looking.delete(server);
    }
  }
}

/** Compiled once: a process that is started each second spends its time on what is tortured. */
const surroundings = (folder: string): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  HOME: process.env['HOME'] ?? '/',
  LANG: 'C.UTF-8',
  NODE_COMPILE_CACHE: join(folder, 'compiled'),
});

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const probe = createServer().once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

/** A connection of somebody who looks on; opened again when PostgreSQL took it along. */
export class Onlooker {
  #client: pg.Client | null = null;
  #last: Promise<unknown> = Promise.resolve();

  readonly #url: () => string;

  constructor(url: () => string) {
    this.#url = url;
  }

  /** One question after another. Null when PostgreSQL does not answer at the moment. */
  query<Row extends object>(text: string, params: readonly unknown[] = []): Promise<Row[] | null> {
    const answer = this.#last.then(() => this.#ask<Row>(text, params));
    this.#last = answer;
    return answer;
  }

  async #ask<Row extends object>(text: string, params: readonly unknown[]): Promise<Row[] | null> {
    try {
      if (this.#client === null) {
        const client = new pg.Client({
          connectionString: this.#url(),
          application_name: 'onlooker',
          connectionTimeoutMillis: 2000,
          query_timeout: 5000,
        });
        client.on('error', () => this.forget(client));
        await client.connect();
        this.#client = client;
      }
      return (await this.#client.query<Row>(text, [...params])).rows;
    } catch {
      if (this.#client !== null) this.forget(this.#client);
      return null;
    }
  }

  /** The next question opens another one, which sees settings that were made meanwhile. */
  forget(client = this.#client): void {
    if (client === null) return;
    if (client === this.#client) this.#client = null;
    void client.end().catch(() => undefined);
  }
}

export const buildIsThere = (): boolean => existsSync(join(root, 'dist/apps/server/src/main.js'));
