import type { DynamicModule, Type } from '@nestjs/common';
import { authEntities, AuthModule } from '#auth';
import { EventsModule } from '#events';
import { ForgesModule } from '#forges';
import { IntegrationModule } from '#integration';
import type { DatabaseOptions } from '#platform/database';
import { projectsEntities, ProjectsModule } from '#projects';
import { QualityModule } from '#quality';
import { registryEntities, RegistryModule } from '#registry';
import { RuntimeModule } from '#runtime';

export interface Room {
  readonly module: Type | DynamicModule;
  /** What the room keeps through the ORM; rooms that speak SQL only have none. */
  readonly entities?: DatabaseOptions['entities'];
}

/** The rooms of the house, one line each. */
export const rooms: readonly Room[] = [
  { module: AuthModule, entities: authEntities },
  { module: ProjectsModule, entities: projectsEntities },
  { module: RegistryModule, entities: registryEntities },
  { module: EventsModule },
  { module: RuntimeModule },
  { module: QualityModule },
  { module: IntegrationModule },
  { module: ForgesModule },
];
