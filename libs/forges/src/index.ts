export { ForgesModule } from './forges.module.ts';
export { ForgeCrashPoints, forgeCrashPoints, type ForgeCrashPoint } from './crash-points.ts';
