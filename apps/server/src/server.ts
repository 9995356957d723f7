import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Startup } from '#observability';
import type { Config } from '#platform/config';
import { isConnectionBroken, migrate } from '#platform/database';
import { assertEveryRouteDeclares, Drain, httpAdapter, SocketAdapter } from '#platform/http';
import { migrations } from '../../../migrations/index.ts';
import { serveApiDocument } from './api-document.ts';
import { AppModule } from './app.module.ts';
import { takeDataFolder } from './data-folder.ts';
import { PostgresKeeper } from './postgres-keeper.ts';
import { rooms as allRooms, type Room } from './rooms.ts';
import { VerifierSupervisor } from './verifier-supervisor.ts';

/** An operator who waits at a terminal should not wait longer for an answer. */
const startAgainForMs = 30_000;

export interface RunningServer {
  readonly app: NestFastifyApplication;
  /** Where it listens. */
  readonly url: string;
  /** Stops taking work, finishes or hands back what there is, closes everything. */
  drain(): Promise<void>;
}

/** Brings a server up: data folder, PostgreSQL, tables, rooms, port, verifiers; takes all of it down again if one fails. */
export async function startServer(
  config: Config,
  logger: LoggerService | false,
  rooms: readonly Room[] = allRooms,
): Promise<RunningServer> {
  const undo: (() => Promise<void>)[] = [];
  const takeDown = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  try {
    undo.push(await takeDataFolder(config.dataDir));
    let databaseUrl = config.databaseUrl;
    if (databaseUrl === null) {
      const postgres = await PostgresKeeper.start({
        folder: join(config.dataDir, 'postgres'),
        log: (message) => {
          if (logger !== false) logger.log(message, 'postgres');
        },
      });
      undo.push(() => postgres.stop());
      databaseUrl = postgres.url;
    }
    const app = await listening(config, databaseUrl, logger, rooms);
    undo.push(() => app.close());

    const address = app.getHttpServer().address();
    const port = typeof address === 'object' && address !== null ? address.port : config.port;
    config.listensOn(port);
    const url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`;

    const verifiers = new VerifierSupervisor(app, config, port);
    if (config.role === 'all' && config.verifiers > 0) verifiers.start();
    app.get(Startup).done = true;

    let draining: Promise<void> | null = null;
    return {
      app,
      url,
      drain: () =>
        (draining ??= (async () => {
          app.get(Drain).begin();
          await verifiers.stop();
          await takeDown();
        })()),
    };
  } catch (error) {
    await takeDown().catch(() => {});
    throw error;
  }
}

/**
 * Tables, rooms and port. PostgreSQL may end a connection or restart while a server starts: then the whole of it is begun
 * again, which takes a fraction of what a new process would.
 */
async function listening(
  config: Config,
  databaseUrl: string,
  logger: LoggerService | false,
  rooms: readonly Room[],
): Promise<NestFastifyApplication> {
  const giveUpAt = performance.now() + startAgainForMs;
  for (;;) {
    let app: NestFastifyApplication | null = null;
    try {
      await migrate({
        url: databaseUrl,
        migrations,
        tell: (words) => {
          if (logger !== false) logger.warn(words, 'migrations');
        },
      });
      app = await NestFactory.create<NestFastifyApplication>(
        AppModule.forRoot(config, databaseUrl, rooms),
        httpAdapter(config),
        {
          logger,
          abortOnError: false,
          forceCloseConnections: true,
        },
      );
      assertEveryRouteDeclares(app);
      app.useWebSocketAdapter(app.get(SocketAdapter));
      serveApiDocument(app);
      await app.listen(config.port, config.host);
      return app;
    } catch (error) {
      await app?.close().catch(() => {});
      if (!isConnectionBroken(error) || performance.now() > giveUpAt) throw error;
      await pause(200);
    }
  }
}
