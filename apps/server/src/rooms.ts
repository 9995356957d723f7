import type { Type } from '@nestjs/common';
import type { DatabaseOptions } from '#platform/database';
import { EventsModule } from '#events';
import { IntegrationModule } from '#integration';
import { ProjectsModule } from '#projects';
import { RegistryModule } from '#registry';

export interface Room {
  readonly module: Type;
  /** What the room keeps through the ORM; rooms that speak SQL only have none. */
  readonly entities?: DatabaseOptions['entities'];
}

/** The rooms of the house, one line each. */
export const rooms: readonly Room[] = [
  { module: RegistryModule },
  { module: ProjectsModule },
  { module: EventsModule },
  { module: IntegrationModule },
];
