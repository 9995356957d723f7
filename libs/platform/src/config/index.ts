export {
  Config,
  ConfigError,
  childEnvironment,
  loadConfig,
  loadProcessConfig,
  randomSecret,
  type Environment,
} from './config.ts';
export { ConfigModule } from './config.module.ts';
