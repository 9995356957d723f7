export { PostgresCarrier } from './postgres-carrier.ts';
export { RedisModule } from './redis.module.ts';
export { Signals, type SignalCounts } from './signals.ts';
