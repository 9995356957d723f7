import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { cloudEvent, idOf, publishEvent } from '@muster/contracts';
import { z } from 'zod';
import type { Actor } from '#messages/auth';
import { CurrentActor, Idempotent, Requires } from '#platform/http';
import { PublishEvent } from '../commands/publish-event.ts';
import { scopeOf } from '../domain/visible-events.ts';
import { type EventsPage, ListEvents } from '../queries/list-events.ts';

const typePattern = z
  .string()
  .max(100)
  .regex(/^[a-z0-9_.]+(\.\*)?$/, 'must be a type, or a prefix like landing.*');
const eventsQuery = z.strictObject({
  type: z.union([typePattern.transform((type) => [type]), z.array(typePattern).max(50)]).optional(),
  projectId: idOf('project').optional(),
  after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});
const eventsPage = z.object({ items: z.array(cloudEvent), position: z.number().int(), more: z.boolean() });
const accepted = z.object({ id: idOf('event'), type: z.string() }).meta({ id: 'EventAccepted' });

@ApiTags('events')
@Controller('api/events')
export class EventsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post('publish')
  @Requires('event.publish')
  @Idempotent()
  @HttpCode(202)
  @ApiOperation({ summary: 'Publish an event; triggers that it matches start tasks' })
  @ApiResponse({ status: 202, standardSchema: accepted })
  publish(
    @CurrentActor() actor: Actor,
    @Body({ schema: publishEvent }) event: z.output<typeof publishEvent>,
  ): Promise<{ id: string; type: string }> {
    return this.commands.execute(new PublishEvent(actor.teamId, event));
  }

  @Get()
  @Requires('event.read')
  @ApiOperation({ summary: 'Read the event log in order, after a position' })
  @ApiResponse({ status: 200, standardSchema: eventsPage })
  list(
    @CurrentActor() actor: Actor,
    @Query({ schema: eventsQuery }) { type, projectId, after, limit }: z.output<typeof eventsQuery>,
  ): Promise<EventsPage> {
    return this.queries.execute(new ListEvents(scopeOf(actor, type ?? [], projectId), after, limit));
  }
}
