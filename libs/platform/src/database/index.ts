export {
  Database,
  hotConnections,
  hotPlanning,
  isConnectionBroken,
  sqlState,
  violatedConstraint,
  type Transaction,
} from './database.ts';
export { DatabaseModule } from './database.module.ts';
export { type DatabaseOptions, DatabaseUnusable, migrate, openOrm, type MigrationList } from './orm.ts';
export { PostgresUnavailable, startPostgres, type PostgresOptions, type PostgresServer } from './embedded-postgres.ts';
export { isoTime } from './iso-time.ts';
export { storable } from './storable.ts';
