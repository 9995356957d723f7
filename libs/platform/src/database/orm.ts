import { Migrator } from '@mikro-orm/migrations';
import { type MigrationObject, MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import type { DatabaseOptions } from './database.module.ts';

export type MigrationList = readonly MigrationObject[];

/** int8 as a number: our counters stay far below 2^53. Numerics as numbers too; timestamps as Date, json parsed (pg's own). */
const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, Number);
types.setTypeParser(pg.types.builtins.NUMERIC, Number);

export function openOrm(options: Pick<DatabaseOptions, 'url' | 'entities' | 'poolSize'>): Promise<MikroORM> {
  return MikroORM.init({
    clientUrl: options.url,
    entities: [...options.entities],
    discovery: { warnWhenNoEntities: false },
    pool: { min: 0, max: options.poolSize },
    driverOptions: { types, application_name: 'muster' },
    forceUtcTimezone: true,
  });
}

/** Any number that no other program locks in this database. */
const migrationLock = 7_265_001;

/** Brings the tables up to date. Many servers may start at once: one migrates, the others wait for it. */
export async function migrate(options: Pick<DatabaseOptions, 'url' | 'migrations'>): Promise<string[]> {
  const guard = new pg.Client({ connectionString: options.url });
  await guard.connect();
  try {
    await guard.query('select pg_advisory_lock($1)', [migrationLock]);
    const orm = await MikroORM.init({
      clientUrl: options.url,
      entities: [],
      discovery: { warnWhenNoEntities: false },
      extensions: [Migrator],
      migrations: {
        migrationsList: [...options.migrations],
        tableName: 'migrations',
        snapshot: false,
        silent: true,
        allOrNothing: true,
      },
      pool: { min: 0, max: 2 },
    });
    try {
      return (await orm.migrator.up()).map((done) => done.name);
    } finally {
      await orm.close(true);
    }
  } finally {
    await guard.end();
  }
}
