import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { MusterClient } from '@muster/sdk';
import { sleep, until } from './clock.ts';
import { processSeconds } from './processor-time.ts';
import { Postgres } from './postgres.ts';

const root = resolve(import.meta.dirname, '../..');
const entry = join(root, 'dist', 'apps', 'server', 'src', 'main.js');

/** A place for tasks of one kind: a project, an agent that is assigned to it, and one capability. */
export interface Lane {
  readonly projectId: string;
  readonly agent: string;
  readonly capability: string;
}

interface Credentials {
  readonly email: string;
  readonly password: string;
}

/** The product as shipped: its built server in a process of its own, with the settings that it comes with and its own PostgreSQL. */
export class ServerUnderTest {
  readonly url: string;
  readonly client: MusterClient;
  readonly dataFolder: string;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #credentials: Credentials;
  #postgres: Postgres | null = null;
  #ended: string | null = null;
  agentToken = '';
  producerToken = '';

  private constructor(url: string, child: ChildProcess, credentials: Credentials, dataFolder: string, log: string) {
    this.url = url;
    this.client = new MusterClient({ url, credentials, retryForMs: 60_000 });
    this.#credentials = credentials;
    this.dataFolder = dataFolder;
    this.#child = child;
    this.#log = log;
    child.once('exit', (code, signal) => (this.#ended = signal ?? `code ${code}`));
  }

  static async start(
    folder: string,
    profileFolder: string | null,
    settings: Record<string, string>,
  ): Promise<ServerUnderTest> {
    if (!existsSync(entry)) throw new Error(`There is no built server at ${entry}. Run npm run build first.`);
    const dataFolder = join(folder, 'data');
    await mkdir(dataFolder);
    const port = await freePort();
    const credentials = { email: 'bench@muster.example', password: randomBytes(24).toString('base64url') };
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !name.startsWith('MUSTER_') && name !== 'DATABASE_URL' && name !== 'REDIS_URL',
      ),
    );
    const log = join(folder, 'server.log');
    const profile =
      profileFolder === null
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`, '--cpu-prof-name=server.cpuprofile'];
    const child = spawn(process.execPath, ['--enable-source-maps', ...profile, entry], {
      cwd: root,
      env: {
        ...inherited,
        MUSTER_DATA_DIR: dataFolder,
        MUSTER_HOST: '127.0.0.1',
        MUSTER_PORT: String(port),
        MUSTER_ADMIN_EMAIL: credentials.email,
        MUSTER_ADMIN_PASSWORD: credentials.password,
        MUSTER_LOG_PRETTY: 'false',
        MUSTER_IMPORT_PATHS: folder,
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const written = createWriteStream(log);
    child.stdout.pipe(written, { end: false });
    child.stderr.pipe(written, { end: false });
    const url = `http://127.0.0.1:${port}`;
    const server = new ServerUnderTest(url, child, credentials, dataFolder, log);
    try {
      await until('the start of the server', 120, () => server.#isReady(), 100);
      server.#postgres = Postgres.of(dataFolder);
      await server.postgres.assertDurable();
      server.producerToken = (await server.client.keys.create({ name: 'bench creators', role: 'developer' })).secret;
      server.agentToken = (await server.client.keys.create({ name: 'bench agents', role: 'agent' })).secret;
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('The server has no process.');
    return this.#child.pid;
  }

  get postgres(): Postgres {
    if (this.#postgres === null) throw new Error('The server has no PostgreSQL yet.');
    return this.#postgres;
  }

  async lane(name: string): Promise<Lane> {
    const lane = { agent: `bench-${name}`, capability: `bench.${name.replaceAll('-', '_')}` };
    const project = await this.client.projects.create({ name: `Bench ${name}`, slug: `bench-${name}` });
    await this.client.agents.register({
      definition: {
        metadata: { name: lane.agent, version: '1.0.0', description: 'Does nothing, at once.' },
        skills: [{ name: lane.capability }],
        limits: { concurrency: 1000 },
      },
      publish: true,
    });
    await this.client.projects.assign(project.id, { agent: lane.agent, capabilities: [lane.capability] });
    return { ...lane, projectId: project.id };
  }

  /** Of the owner in person, whose word counts for changes of rules as well. Good for a while only. */
  async ownerToken(): Promise<string> {
    const answer = await fetch(`${this.url}/api/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(this.#credentials),
    });
    if (!answer.ok) throw new Error(`The login says ${answer.status}.`);
    return ((await answer.json()) as { accessToken: string }).accessToken;
  }

  /** Resolves when the server has done what it does after a start or a load, or after a while in any case. */
  async settle(seconds = 20): Promise<void> {
    for (let waited = 0; waited < seconds; waited += 1) {
      const before = processSeconds(this.pid);
      await sleep(1000);
      if (processSeconds(this.pid) - before < 0.05) return;
    }
  }

  async #isReady(): Promise<boolean> {
    if (this.#ended !== null) throw new Error(`The server ended with ${this.#ended}.\n${this.lastWords()}`);
    return this.client.isReady();
  }

  lastWords(): string {
    return readFileSync(this.#log, 'utf8').trim().split('\n').slice(-15).join('\n');
  }

  async stop(): Promise<void> {
    if (this.#ended !== null) return;
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), 30_000);
    await gone;
    clearTimeout(patience);
  }
}

export const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const probe = createServer().once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address !== null ? done(address.port) : fail(new Error('no port')),
      );
    });
  });
