export { IntegrationModule } from './integration.module.ts';
export { CrashPoints, crashPoints, type CrashPoint } from './crash-points.ts';
