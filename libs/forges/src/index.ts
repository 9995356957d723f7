export { ForgesModule } from './forges.module.ts';
