import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { Contender, type ContenderOptions } from '../contenders/contender.ts';
import {
  prepare as prepareGraphileWorker,
  schema as graphileWorkerSchema,
} from '../contenders/graphile-worker.parts.ts';
import { prepare as preparePgBoss } from '../contenders/pg-boss.parts.ts';
import { prepare as prepareSql } from '../contenders/sql.parts.ts';
import { Cleanup } from './cleanup.ts';
import type { BenchDocument } from './document.ts';
import { machineFacts, packageVersion } from './machine.ts';
import type { Options } from './options.ts';
import { footprintOf, holdOldSnapshot, withClient } from './postgres.ts';
import { familySeconds, processSeconds } from './processor-time.ts';
import { redisVersion, startRedis, type Fsync } from './redis.ts';
import { ServerUnderTest } from './server.ts';

/** Progress and remarks; the document alone goes to stdout. */
export const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Where a bench plays: a folder of its own, the server under test, and whoever it is compared with. */
export class Stage {
  readonly options: Options;
  readonly folder: string;
  readonly server: ServerUnderTest;
  readonly machine: BenchDocument['machine'];
  readonly versions: Record<string, string>;
  readonly #cleanup: Cleanup;

  private constructor(parts: {
    options: Options;
    folder: string;
    server: ServerUnderTest;
    machine: BenchDocument['machine'];
    versions: Record<string, string>;
    cleanup: Cleanup;
  }) {
    this.options = parts.options;
    this.folder = parts.folder;
    this.server = parts.server;
    this.machine = parts.machine;
    this.versions = parts.versions;
    this.#cleanup = parts.cleanup;
  }

  /** @param settings of the server, where the bench needs others than it comes with */
  static async set(options: Options, cleanup: Cleanup, settings: Record<string, string> = {}): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), 'muster-bench-'));
    cleanup.add(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
    // PostgreSQL, where it runs as a user of its own, must be able to walk in.
    await chmod(folder, 0o755);
    const machine = machineFacts(folder);
    if (options.profileFolder !== null) await mkdir(options.profileFolder, { recursive: true });
    say(
      `machine: ${Object.entries(machine)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')}`,
    );
    const profile = options.profileFolder === null ? null : resolve(options.profileFolder);
    const server = await ServerUnderTest.start(folder, profile, settings);
    cleanup.add(() => server.stop());
    await server.settle();
    const versions = {
      muster: packageVersion('@muster/sdk'),
      node: process.versions.node,
      postgresql: await server.postgres.version(),
    };
    say(`server ready at ${server.url} (process ${server.pid})`);
    return new Stage({ options, folder, server, machine, versions, cleanup });
  }

  /** Stops it when the bench is over. */
  cleanUp(stop: () => Promise<void>): void {
    this.#cleanup.add(stop);
  }

  /** Ours: an agent of the published SDK in a process of its own, tasks by REST from another. */
  async muster(laneName: string): Promise<Contender> {
    const lane = await this.server.lane(laneName);
    const { server } = this;
    return this.#enter({
      kind: 'muster',
      name: 'muster',
      consumers: this.options.consumers,
      plan: {
        url: server.url,
        producerToken: server.producerToken,
        agentToken: server.agentToken,
        ...lane,
      },
      // Nothing is taken away by hand: what is left is done. Its history stays, as it would.
      reset: (contender) => contender.finishRest(),
      servedBy: () => ({
        server: processSeconds(server.pid),
        postgresql: familySeconds(server.postgres.pid),
      }),
      footprint: () => footprintOf(server.postgres.url),
      holdSnapshot: () => holdOldSnapshot(server.postgres.url),
    });
  }

  /** The peers that were asked for and can be had; those that cannot are named. */
  async peers(): Promise<Contender[]> {
    const found: Contender[] = [];
    if (this.#isAsked('graphile-worker')) {
      this.versions['graphile-worker'] = packageVersion('graphile-worker');
      found.push(
        await this.#onPostgres(
          'graphile-worker',
          2,
          prepareGraphileWorker,
          `truncate ${graphileWorkerSchema}._private_jobs`,
        ),
      );
    }
    if (this.#isAsked('pg-boss')) {
      this.versions['pg-boss'] = packageVersion('pg-boss');
      found.push(await this.#onPostgres('pg-boss', 2, preparePgBoss, 'truncate pgboss.job cascade'));
    }
    found.push(...(await this.#onRedis()));
    return found;
  }

  /** Bare SQL; null when it was not asked for. */
  async limit(): Promise<Contender | null> {
    if (!this.#isAsked('limit')) return null;
    return this.#onPostgres('sql', 1, prepareSql, 'truncate ready, running, done', 'limit');
  }

  #isAsked(name: string): boolean {
    return this.options.peers === null || this.options.peers.includes(name);
  }

  async #onPostgres(
    kind: 'graphile-worker' | 'pg-boss' | 'sql',
    consumers: number,
    prepare: (url: string) => Promise<void>,
    truncate: string,
    name: string = kind,
  ): Promise<Contender> {
    const { postgres } = this.server;
    const url = await postgres.createDatabase(`bench_${kind.replaceAll('-', '_')}`);
    await prepare(url);
    return this.#enter({
      kind,
      name,
      consumers,
      plan: { url },
      reset: async () => void (await withClient(url, (client) => client.query(truncate))),
      servedBy: () => ({ postgresql: familySeconds(postgres.pid) }),
      footprint: () => footprintOf(url),
      holdSnapshot: () => holdOldSnapshot(url),
    });
  }

  async #onRedis(): Promise<Contender[]> {
    const wanted = (['everysec', 'always'] as const).filter((fsync) => this.#isAsked(`bullmq-${fsync}`));
    if (wanted.length === 0) return [];
    const version = redisVersion();
    if (version === null) {
      say('NOT MEASURED: BullMQ, because there is no redis-server on the PATH. It is no part of any ratio.');
      return [];
    }
    this.versions['bullmq'] = packageVersion('bullmq');
    this.versions['redis'] = version;
    return Promise.all(wanted.map((fsync) => this.#bullmq(fsync)));
  }

  async #bullmq(fsync: Fsync): Promise<Contender> {
    const redis = await startRedis(this.folder, fsync);
    this.#cleanup.add(() => redis.stop());
    return this.#enter({
      kind: 'bullmq',
      name: `bullmq-${fsync}`,
      consumers: 2,
      plan: { url: redis.url },
      reset: async () => {
        const client = new Redis(redis.url);
        await client.flushall();
        await client.quit();
      },
      servedBy: () => ({ redis: redis.processorSeconds() }),
      footprint: null,
      holdSnapshot: null,
    });
  }

  #enter(options: Omit<ContenderOptions, 'profileFolder'>): Contender {
    const { profileFolder } = this.options;
    const contender = new Contender({
      ...options,
      profileFolder: profileFolder === null ? null : resolve(profileFolder),
    });
    this.#cleanup.add(() => contender.stop());
    return contender;
  }
}
