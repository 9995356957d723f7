export { entities as projectsEntities, ProjectsModule } from './projects.module.ts';
