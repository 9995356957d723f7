import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';

/** The PostgreSQL that Muster's server started for itself, with the durability that it comes with; the peers get databases of their own in it. */
export class Postgres {
  readonly url: string;
  readonly pid: number;

  private constructor(url: string, pid: number) {
    this.url = url;
    this.pid = pid;
  }

  /** @param folder the data folder of the server */
  static of(folder: string): Postgres {
    const password = readFileSync(join(folder, 'postgres', 'password'), 'utf8').trim();
    // Line 1 is the process, line 4 the port.
    const lines = readFileSync(join(folder, 'postgres', 'data', 'postmaster.pid'), 'utf8').split('\n');
    return new Postgres(`postgresql://muster:${password}@127.0.0.1:${lines[3]}/postgres`, Number(lines[0]));
  }

  urlOf(database: string): string {
    return this.url.replace(/\/postgres$/, `/${database}`);
  }

  async createDatabase(name: string): Promise<string> {
    await withClient(this.url, (client) => client.query(`create database ${name}`));
    return this.urlOf(name);
  }

  /** Durability is the thing to compare at: whoever switched it off measured something else. */
  async assertDurable(): Promise<void> {
    for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
      const rows = await rowsOf<{ value: string }>(this.url, `select current_setting($1) as value`, [setting]);
      if (rows[0]?.value !== 'on')
        throw new Error(`PostgreSQL runs with ${setting} = ${rows[0]?.value}, not as shipped.`);
    }
  }

  async version(): Promise<string> {
    const rows = await rowsOf<{ version: string }>(this.url, `select current_setting('server_version') as version`);
    return rows[0]?.version ?? 'unknown';
  }
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

export const rowsOf = <T extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<T[]> => withClient(url, async (client) => (await client.query<T>(text, [...values])).rows);

export interface Footprint {
  /** The write-ahead log's position, in bytes. */
  readonly wal: number;
  readonly tables: Readonly<Record<string, { readonly rows: number; readonly bytes: number }>>;
}

/** What every table of a database holds, indexes included: partitions count for their parent. */
export const footprintOf = (url: string): Promise<Footprint> =>
  withClient(url, async (client) => {
    // Rows that are still being made visible to the counters of the server are counted by looking.
    const { rows } = await client.query<{ root: string; part: string; bytes: string }>(
      `select coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as root, c.oid::regclass::text as part, pg_total_relation_size(c.oid) as bytes
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'`,
    );
    const tables: Record<string, { rows: number; bytes: number }> = {};
    for (const { root, part, bytes } of rows) {
      const counted = await client.query<{ count: string }>(`select count(*) from ${part}`);
      const table = (tables[root] ??= { rows: 0, bytes: 0 });
      table.rows += Number(counted.rows[0]?.count ?? 0);
      table.bytes += Number(bytes);
    }
    const wal = await client.query<{ bytes: string }>(`select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as bytes`);
    return { wal: Number(wal.rows[0]?.bytes ?? 0), tables };
  });

export interface Growth {
  readonly rows: number;
  readonly bytes: number;
  readonly walBytes: number;
  /** What each table got, those first that got the most. */
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly bytes: number }[];
}

/** What one task leaves behind. */
export function growthPerTask(before: Footprint, after: Footprint, tasks: number): Growth {
  const tables = Object.entries(after.tables)
    .map(([table, { rows, bytes }]) => ({
      table,
      rows: (rows - (before.tables[table]?.rows ?? 0)) / tasks,
      bytes: (bytes - (before.tables[table]?.bytes ?? 0)) / tasks,
    }))
    .filter(({ rows, bytes }) => Math.abs(rows) > 1e-3 || Math.abs(bytes) >= 1)
    .sort((a, b) => b.bytes - a.bytes);
  return {
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    bytes: tables.reduce((sum, { bytes }) => sum + bytes, 0),
    walBytes: (after.wal - before.wal) / tasks,
    tables,
  };
}

/** A transaction as a backup or a long report holds it: nothing that dies while it is open can be cleaned away. */
export async function holdOldSnapshot(url: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('begin isolation level repeatable read');
  await client.query('select 1');
  return async () => {
    await client.query('rollback');
    await client.end();
  };
}
