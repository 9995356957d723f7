export { Database, hotConnections, hotPlanning, type Transaction } from './database.ts';
export { DatabaseModule } from './database.module.ts';
export { type DatabaseOptions, DatabaseUnusable, migrate, openOrm, type MigrationList } from './orm.ts';
export { PostgresUnavailable, startPostgres, type PostgresOptions, type PostgresServer } from './embedded-postgres.ts';
export { isConnectionBroken, sqlState, violatedConstraint } from './sql-errors.ts';
export { isoTime } from './iso-time.ts';
export { storable } from './storable.ts';
