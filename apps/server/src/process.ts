import 'reflect-metadata';
import { setFlagsFromString } from 'node:v8';
import { MusterLogger, startTracing } from '#observability';
import { ConfigError, type Config, loadProcessConfig } from '#platform/config';
import { DatabaseUnusable, PostgresUnavailable } from '#platform/database';
import { DataFolderInUse } from './data-folder.ts';
import { type RunningServer, startServer } from './server.ts';
import { welcome } from './welcome.ts';

// All of it has been loaded, and is kept as it was compiled; see main.ts.
setFlagsFromString('--lazy');

/** sysexits.h: the configuration is wrong. */
const EX_CONFIG = 78;

function settings(): Config {
  try {
    return loadProcessConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(EX_CONFIG);
  }
}

const config = settings();
const logger = new MusterLogger(config);
const stopTracing = await startTracing(config);

let server: RunningServer | null = null;
let stopping = false;
const stop = (signal: NodeJS.Signals): void => {
  if (stopping) process.exit(130);
  stopping = true;
  logger.log(`${signal}: finishing what is under way. Once more to quit at once.`, 'server');
  setTimeout(() => {
    logger.warn('The drain took too long; quitting.', 'server');
    process.exit(1);
  }, config.drainSeconds * 1000).unref();
  void (async () => {
    await server?.drain();
    await stopTracing();
    process.exit(server === null ? 130 : 0);
  })().catch((error: unknown) => {
    logger.error(error, 'server');
    process.exit(1);
  });
};
process.on('SIGINT', stop);
process.on('SIGTERM', stop);

try {
  server = await startServer(config, logger);
  console.log(welcome(server.app, config));
} catch (error) {
  const expected =
    error instanceof DatabaseUnusable || error instanceof PostgresUnavailable || error instanceof DataFolderInUse;
  const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
  if (taken) console.error(`Port ${config.port} is in use. Stop what uses it, or set MUSTER_PORT to another.`);
  else console.error(expected && error instanceof Error ? error.message : error);
  process.exit(1);
}
