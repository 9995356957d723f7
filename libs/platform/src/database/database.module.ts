import { type DynamicModule, Module, type OnApplicationShutdown } from '@nestjs/common';
import { type AnyEntity, type EntityClass, type EntitySchema, MikroORM } from '@mikro-orm/postgresql';
import { Ids } from '#kernel';
import { Database } from './database.ts';
import { openOrm, type MigrationList } from './orm.ts';

export interface DatabaseOptions {
  readonly url: string;
  /** What the rooms keep: each room's `entities`. */
  readonly entities: readonly (EntityClass<AnyEntity> | EntitySchema)[];
  readonly migrations: MigrationList;
  readonly poolSize: number;
}

@Module({})
export class DatabaseModule implements OnApplicationShutdown {
  constructor(private readonly orm: MikroORM) {}

  /** The last to go: what else stops may still write. */
  async onApplicationShutdown(): Promise<void> {
    await this.orm.close(true);
  }

  static forRoot(options: DatabaseOptions): DynamicModule {
    return {
      module: DatabaseModule,
      global: true,
      providers: [
        { provide: MikroORM, useFactory: () => openOrm(options) },
        {
          provide: Database,
          useFactory: async (orm: MikroORM, ids: Ids) => {
            const pool = await orm.em.getConnection().getNativeClient();
            return new Database(orm, pool, ids);
          },
          inject: [MikroORM, Ids],
        },
      ],
      exports: [MikroORM, Database],
    };
  }
}
