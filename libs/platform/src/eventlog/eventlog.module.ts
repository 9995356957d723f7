import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { EventLog } from './event-log.ts';

@Global()
@Module({ imports: [DiscoveryModule], providers: [EventLog], exports: [EventLog] })
export class EventLogModule {}
