export { Database, sqlState, violatedConstraint, type Transaction } from './database.ts';
export { DatabaseModule, type DatabaseOptions } from './database.module.ts';
export { migrate, type MigrationList } from './orm.ts';
