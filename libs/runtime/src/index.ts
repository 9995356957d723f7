export { RuntimeModule } from './runtime.module.ts';
