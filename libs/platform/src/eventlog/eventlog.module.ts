import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { EventLog } from './event-log.ts';
import { ReactionRunner } from './reaction-runner.ts';
import { Sequencer } from './sequencer.ts';

@Global()
@Module({ imports: [DiscoveryModule], providers: [EventLog, Sequencer, ReactionRunner], exports: [EventLog] })
export class EventLogModule {}
