import { type DynamicModule, Module } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { ObservabilityModule } from '#observability';
import { BlobsModule } from '#platform/blobs';
import { type Config, ConfigModule } from '#platform/config';
import { DatabaseModule } from '#platform/database';
import { EventLogModule } from '#platform/eventlog';
import { GitModule } from '#platform/git';
import { HttpModule } from '#platform/http';
import { InvariantsModule } from '#platform/invariants';
import { RedisModule } from '#platform/redis';
import { RoundsModule } from '#platform/rounds';
import { migrations } from '../../../migrations/index.ts';
import type { Room } from './rooms.ts';

/** The house: the pipes below, the rooms on them. */
@Module({})
export class AppModule {
  static forRoot(config: Config, databaseUrl: string, rooms: readonly Room[]): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.forRoot(config),
        DatabaseModule.forRoot({
          url: databaseUrl,
          entities: rooms.flatMap((room) => [...(room.entities ?? [])]),
          migrations,
          poolSize: config.databasePool,
        }),
        RedisModule,
        EventLogModule,
        BlobsModule,
        GitModule,
        HttpModule,
        InvariantsModule,
        CqrsModule.forRoot(),
        RoundsModule,
        ObservabilityModule,
        ...rooms.map((room) => room.module),
      ],
    };
  }
}
