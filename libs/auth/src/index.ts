export { AuthModule, entities as authEntities } from './auth.module.ts';
export { FirstAdmin } from './access/first-admin.ts';
