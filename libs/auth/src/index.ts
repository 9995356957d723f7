export { AuthModule } from './auth.module.ts';
export { FirstAdmin } from './access/first-admin.ts';
