export { Database, sqlState, violatedConstraint, type Transaction } from './database.ts';
export { DatabaseModule, type DatabaseOptions } from './database.module.ts';
export { migrate, openOrm, type MigrationList } from './orm.ts';
export { PostgresUnavailable, startPostgres, type PostgresServer } from './embedded-postgres.ts';
