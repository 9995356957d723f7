export { type ForgeAccount, type ForgeApp } from './forge-accounts.ts';
export {
  Config,
  ConfigError,
  childEnvironment,
  loadConfig,
  loadProcessConfig,
  randomSecret,
  strangersEnvironment,
  type Environment,
} from './config.ts';
export { ConfigModule } from './config.module.ts';
