import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Invariants } from '#platform/invariants';
import { RedisModule } from '#platform/redis';
import { RoundsModule } from '#platform/rounds';
import { EventLog } from './event-log.ts';
import { EventRelay } from './event-relay.ts';
import { EventRetention } from './event-retention.ts';
import { eventLogInvariants } from './invariants.ts';
import { ReactionRunner } from './reaction-runner.ts';

@Global()
@Module({
  imports: [DiscoveryModule, RedisModule, RoundsModule],
  providers: [EventLog, EventRelay, EventRetention, ReactionRunner],
  exports: [EventLog],
})
export class EventLogModule {
  constructor() {
    Invariants.register(...eventLogInvariants);
  }
}
