import { setTimeout } from 'node:timers/promises';
import { Migrator } from '@mikro-orm/migrations';
import {
  type AnyEntity,
  defineConfig,
  type EntityClass,
  type EntitySchema,
  type MigrationObject,
  MikroORM,
  type Options,
} from '@mikro-orm/postgresql';
import pg from 'pg';
import { giveBackLostConnections } from './lost-connections.ts';
import { sqlState } from './sql-errors.ts';

export type MigrationList = readonly MigrationObject[];

export interface DatabaseOptions {
  readonly url: string;
  /** What the rooms keep: each room's `entities`. */
  readonly entities: readonly (EntityClass<AnyEntity> | EntitySchema)[];
  readonly migrations: MigrationList;
  readonly poolSize: number;
}

/** A server that is stopped in a transaction holds others' rows no longer than this; nothing external happens in one, so all else is faster. */
export const idleInTransactionMs = 2_000;

/** int8 as a number: our counters stay far below 2^53. Numerics as numbers too; timestamps as Date, json parsed (pg's own). */
export const resultTypes = new pg.TypeOverrides();
resultTypes.setTypeParser(pg.types.builtins.INT8, Number);
resultTypes.setTypeParser(pg.types.builtins.NUMERIC, Number);

export function ormOptions(options: Pick<DatabaseOptions, 'url' | 'entities' | 'poolSize'>): Options {
  return defineConfig({
    clientUrl: options.url,
    entities: [...options.entities],
    discovery: { warnWhenNoEntities: false },
    // Named, it is not looked for among what is installed.
    extensions: [Migrator],
    pool: { min: 0, max: options.poolSize },
    driverOptions: {
      types: resultTypes,
      application_name: 'muster',
      keepAlive: true,
      idle_in_transaction_session_timeout: idleInTransactionMs,
    },
    forceUtcTimezone: true,
  });
}

/** Outside of the server, which opens it through its module. */
export const openOrm = (options: Parameters<typeof ormOptions>[0]): Promise<MikroORM> =>
  MikroORM.init(ormOptions(options));

/** Says in one sentence why the database of the operator cannot be used; never with its password. */
export class DatabaseUnusable extends Error {
  override readonly name = 'DatabaseUnusable';
}

const oldestPostgres = 150_000;

/** A first connection, whose failure is the operator's to mend: address, user, database or version. */
async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 30_000 });
  // Lost between two statements, the next one says so.
  client.on('error', () => {});
  const place = `${client.user ?? ''}@${client.host}:${client.port}/${client.database ?? ''}`;
  try {
    await client.connect();
    const { rows } = await client.query<{ name: string; version: number }>(
      "select current_setting('server_version') as name, current_setting('server_version_num')::int as version",
    );
    const server = rows[0];
    if (server !== undefined && server.version < oldestPostgres)
      throw new Error(`it is PostgreSQL ${server.name}, and Muster needs 15 or newer`);
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw new DatabaseUnusable(
      `The database ${place} cannot be used: ${reasonOf(error)}. See that it runs and that DATABASE_URL is right.`,
      { cause: error },
    );
  }
}

/** A host name with several addresses fails with a list that has no message of its own. */
function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  if ('message' in error && error.message !== '') return String(error.message);
  return 'errors' in error && Array.isArray(error.errors)
    ? error.errors.map(reasonOf).join('; ')
    : 'it does not answer';
}

const migrationsTable = 'migrations';

/** Almost every start finds nothing to do, and need not wait for others that find the same. */
async function isUpToDate(guard: pg.Client, migrations: MigrationList): Promise<boolean> {
  const { rows: tables } = await guard.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    migrationsTable,
  ]);
  if (tables[0]?.there !== true) return false;
  const { rows } = await guard.query<{ name: string }>(`select name from ${migrationsTable}`);
  const done = new Set(rows.map(({ name }) => name));
  return migrations.every(({ name }) => done.has(name));
}

/** Any number that no other program locks in this database. */
const migrationLock = 7_265_001;

/** Behind a change of a table that waits for a lock, everybody waits who only wants to read it: rather later than for longer than this, for each lock. */
const lockTimeoutMs = 2_000;
const betweenTriesMs = 1_000;
const mostTries = 10;
/** A lock was not to be had in time, or PostgreSQL found that two wait for each other. */
const inTheWay = new Set(['55P03', '40P01']);

/**
 * Brings the tables up to date, all or nothing. Many servers may start at once: one migrates, the others wait for it. Where somebody else uses a table
 * that is to change, it is left alone for a while and tried again.
 * @param tries how often; each waits for a lock for two seconds
 * @param tell hears once that it has to wait
 * @throws DatabaseUnusable
 */
export async function migrate(
  options: Pick<DatabaseOptions, 'url' | 'migrations'> & {
    readonly tries?: number;
    readonly tell?: (words: string) => void;
  },
): Promise<string[]> {
  const guard = await connected(options.url);
  try {
    if (await isUpToDate(guard, options.migrations)) return [];
    await guard.query('select pg_advisory_lock($1)', [migrationLock]);
    const { tries = mostTries, tell } = options;
    for (let tried = 1; ; tried++) {
      try {
        return await migrateOnce(options);
      } catch (error) {
        if (!inTheWay.has(sqlState(error) ?? '')) throw error;
        if (tried >= tries)
          throw new DatabaseUnusable(
            `The tables cannot be brought up to date: each of ${tries} times somebody else was using one of them in a transaction (a backup, a report). Nothing was changed. Wait until it is over, or end it (the oldest \`xact_start\` in \`pg_stat_activity\`), and start again.`,
            { cause: error },
          );
        if (tried === 1)
          tell?.(
            'The tables are to be brought up to date, and somebody else uses one of them. It is tried again for half a minute.',
          );
        await setTimeout(betweenTriesMs);
      }
    }
  } finally {
    await guard.end();
  }
}

async function migrateOnce({ url, migrations }: Pick<DatabaseOptions, 'url' | 'migrations'>): Promise<string[]> {
  const orm = await MikroORM.init({
    clientUrl: url,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    migrations: {
      migrationsList: [...migrations],
      tableName: migrationsTable,
      snapshot: false,
      silent: true,
      allOrNothing: true,
    },
    pool: { min: 0, max: 2 },
    driverOptions: { lock_timeout: lockTimeoutMs },
  });
  // Otherwise closing it would wait for what a migration had when it was cut off.
  giveBackLostConnections(await orm.em.getConnection().getNativeClient());
  try {
    return (await orm.migrator.up()).map((done) => done.name);
  } finally {
    await orm.close(true);
  }
}
