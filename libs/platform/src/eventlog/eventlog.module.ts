import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Invariants } from '#platform/invariants';
import { RedisModule } from '#platform/redis';
import { EventLog } from './event-log.ts';
import { HeadSignals } from './head-signals.ts';
import { eventLogInvariants } from './invariants.ts';
import { ReactionRunner } from './reaction-runner.ts';
import { Sequencer } from './sequencer.ts';

@Global()
@Module({
  imports: [DiscoveryModule, RedisModule],
  providers: [EventLog, Sequencer, HeadSignals, ReactionRunner],
  exports: [EventLog],
})
export class EventLogModule {
  constructor() {
    Invariants.register(...eventLogInvariants);
  }
}
