export { QualityModule } from './quality.module.ts';
