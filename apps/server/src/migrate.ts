import { join } from 'node:path';
import { ConfigError, loadProcessConfig } from '#platform/config';
import { DatabaseUnusable, migrate, PostgresUnavailable, startPostgres } from '#platform/database';
import { migrations } from '../../../migrations/index.ts';
import { DataFolderInUse, takeDataFolder } from './data-folder.ts';

/** Brings the tables up to date and ends; the server does the same when it starts. */
async function main(): Promise<void> {
  const config = loadProcessConfig();
  const report = (done: readonly string[]): void =>
    console.log(done.length === 0 ? 'The tables are up to date.' : `Migrated: ${done.join(', ')}`);
  const bringUp = async (url: string): Promise<void> =>
    report(await migrate({ url, migrations, tell: (words) => console.error(words) }));
  if (config.databaseUrl !== null) return bringUp(config.databaseUrl);
  const giveBack = await takeDataFolder(config.dataDir);
  const postgres = await startPostgres({ folder: join(config.dataDir, 'postgres') });
  try {
    await bringUp(postgres.url);
  } finally {
    await postgres.stop();
    await giveBack();
  }
}

try {
  await main();
} catch (error) {
  const expected =
    error instanceof ConfigError ||
    error instanceof DatabaseUnusable ||
    error instanceof PostgresUnavailable ||
    error instanceof DataFolderInUse;
  console.error(expected ? error.message : error);
  process.exit(error instanceof ConfigError ? 78 : 1);
}
