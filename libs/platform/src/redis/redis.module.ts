import { Global, Module } from '@nestjs/common';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { PostgresCarrier } from './postgres-carrier.ts';
import { RedisCarrier } from './redis-carrier.ts';
import { Signals } from './signals.ts';

@Global()
@Module({
  providers: [
    {
      provide: Signals,
      useFactory: (config: Config, database: Database) =>
        new Signals(
          config.redisUrl === null
            ? new PostgresCarrier(database)
            : new RedisCarrier(config.redisUrl, async () => {
                const [row] = await database.sql<{ id: string }>(`select id from installation`);
                if (row === undefined) throw new Error('The table installation has lost its row.');
                return `muster:${row.id}:signals`;
              }),
        ),
      inject: [Config, Database],
    },
  ],
  exports: [Signals],
})
export class RedisModule {}
