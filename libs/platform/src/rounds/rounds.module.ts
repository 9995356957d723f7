import { Global, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { Rounds } from './rounds.ts';

@Global()
@Module({ imports: [ScheduleModule.forRoot()], providers: [Rounds], exports: [Rounds] })
export class RoundsModule {}
