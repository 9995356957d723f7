import { Module } from '@nestjs/common';
import { PublishEventHandler } from './commands/publish-event.ts';
import { EventsController } from './http/events.controller.ts';
import { StreamEndpoint } from './http/stream.endpoint.ts';
import { ListEventsHandler } from './queries/list-events.ts';
import { StartTasksWhenATriggerMatches } from './reactions/start-tasks-when-a-trigger-matches.ts';

const controllers = [EventsController];
const sockets = [StreamEndpoint];
const commandHandlers = [PublishEventHandler];
const queryHandlers = [ListEventsHandler];
const reactions = [StartTasksWhenATriggerMatches];

@Module({ controllers, providers: [...sockets, ...commandHandlers, ...queryHandlers, ...reactions] })
export class EventsModule {}
