import { type DynamicModule, Module, type OnApplicationShutdown } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { MikroORM } from '@mikro-orm/postgresql';
import { Ids } from '#kernel';
import { Database } from './database.ts';
import { type DatabaseOptions, ormOptions } from './orm.ts';

/** MikroORM closes its connections as the last of the house to go: what else stops may still write. */
@Module({})
export class DatabaseModule implements OnApplicationShutdown {
  constructor(private readonly database: Database) {}

  async onApplicationShutdown(): Promise<void> {
    await this.database.close();
  }

  static forRoot(options: DatabaseOptions): DynamicModule {
    return {
      module: DatabaseModule,
      global: true,
      // A command forks an entity manager of its own, so requests need none.
      imports: [MikroOrmModule.forRoot({ ...ormOptions(options), registerRequestContext: false })],
      providers: [
        {
          provide: Database,
          useFactory: async (orm: MikroORM, ids: Ids) => {
            const pool = await orm.em.getConnection().getNativeClient();
            return new Database(orm, pool, ids);
          },
          inject: [MikroORM, Ids],
        },
      ],
      exports: [Database],
    };
  }
}
