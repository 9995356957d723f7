import { randomBytes } from 'node:crypto';
import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { SystemIds } from '#kernel';
import { Database, type DatabaseOptions, migrate, openOrm } from '#platform/database';
import { migrations } from '../../migrations/index.ts';

export interface TestDatabase {
  readonly url: string;
  /** Beside whatever the code under test does. */
  sql<Row extends object>(text: string, params?: readonly unknown[]): Promise<Row[]>;
  /** A `Database` as the server has it. Closed by `drop`. */
  open(entities?: DatabaseOptions['entities']): Promise<Database>;
  drop(): Promise<void>;
}

const template = 'muster_template';

const serverUrl = (): string => {
  const url = process.env['TEST_POSTGRES_URL'];
  if (url === undefined)
    throw new Error('TEST_POSTGRES_URL is set by test/support/start-postgres.mjs; run this through jest.');
  return url;
};

const databaseUrl = (name: string): string => {
  const url = new URL(serverUrl());
  url.pathname = `/${name}`;
  return url.href;
};

async function onServer<T>(work: (client: pg.Client) => Promise<T>, url = serverUrl()): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Rules that only the doctor asks for elsewhere are enforced in tests: what breaks one fails where it does. */
async function enforceRules(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `select format('alter table %s drop constraint %I, add constraint %I check (%s)', conrelid::regclass, conname, conname, pg_get_expr(conbin, conrelid))
       as statement
     from pg_constraint where contype = 'c' and conislocal and not conenforced`,
  );
  for (const { statement } of rows) await client.query(statement);
}

/** A database of its own for one test file: a clone of the migrated template, which the first file of a run makes. */
export async function testDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onServer(async (client) => {
    await client.query('select pg_advisory_lock(1)');
    const { rowCount } = await client.query('select from pg_database where datname = $1 and datistemplate', [template]);
    if (rowCount === 0) {
      await client.query(`drop database if exists ${template}`);
      await client.query(`create database ${template}`);
      await migrate({ url: databaseUrl(template), migrations });
      await onServer(enforceRules, databaseUrl(template));
      await client.query(`alter database ${template} is_template true`);
    }
    await client.query(`create database ${name} template ${template}`);
  });

  const url = databaseUrl(name);
  const pool = new pg.Pool({ connectionString: url, max: 5, types: resultTypes() });
  pool.on('error', () => {});
  const opened: MikroORM[] = [];
  const databases: Database[] = [];
  return {
    url,
    sql: async <Row extends object>(text: string, params: readonly unknown[] = []) =>
      (await pool.query<Row>(text, [...params])).rows,
    open: async (entities = []) => {
      const orm = await openOrm({ url, entities, poolSize: 10 });
      opened.push(orm);
      const database = new Database(orm, await orm.em.getConnection().getNativeClient(), new SystemIds());
      databases.push(database);
      return database;
    },
    drop: async () => {
      await Promise.all(databases.map((database) => database.close()));
      await Promise.all(opened.map((orm) => orm.close(true)));
      await pool.end();
      await onServer((client) => client.query(`drop database if exists ${name} with (force)`));
    },
  };
}

function resultTypes(): pg.TypeOverrides {
  const types = new pg.TypeOverrides();
  types.setTypeParser(pg.types.builtins.INT8, Number);
  types.setTypeParser(pg.types.builtins.NUMERIC, Number);
  return types;
}
