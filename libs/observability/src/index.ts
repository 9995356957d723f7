export { MusterLogger } from './logger.ts';
export { ObservabilityModule } from './observability.module.ts';
export { Startup } from './startup.ts';
export { startTracing } from './tracing.ts';
