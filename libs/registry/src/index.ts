export { entities as registryEntities, RegistryModule } from './registry.module.ts';
