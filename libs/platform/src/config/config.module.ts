import { type DynamicModule, Module } from '@nestjs/common';
import { Clock, Ids, SystemClock, SystemIds } from '#kernel';
import { Config } from './config.ts';

/** Settings, time and ids: what comes into the server from outside, by one door. */
@Module({})
export class ConfigModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: ConfigModule,
      global: true,
      providers: [
        { provide: Config, useValue: config },
        { provide: Clock, useClass: SystemClock },
        { provide: Ids, useClass: SystemIds },
      ],
      exports: [Config, Clock, Ids],
    };
  }
}
