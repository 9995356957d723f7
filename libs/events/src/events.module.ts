import { Module } from '@nestjs/common';
import { PublishEventHandler } from './commands/publish-event.ts';
import { EventsController } from './http/events.controller.ts';
import { StreamGateway } from './http/stream.gateway.ts';
import { ListEventsHandler } from './queries/list-events.ts';
import { StartTasksWhenATriggerMatches } from './reactions/start-tasks-when-a-trigger-matches.ts';

const controllers = [EventsController];
const gateways = [StreamGateway];
const commandHandlers = [PublishEventHandler];
const queryHandlers = [ListEventsHandler];
const reactions = [StartTasksWhenATriggerMatches];

@Module({ controllers, providers: [...gateways, ...commandHandlers, ...queryHandlers, ...reactions] })
export class EventsModule {}
