import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { CloudEvent } from '@muster/contracts';
import { EventLog } from '#platform/eventlog';
import { readVisible, type Scope } from '../domain/visible-events.ts';

/** How often a reader of few projects looks further before it is answered with what there is so far. */
const ROUNDS = 10;

export interface EventsPage {
  readonly items: CloudEvent[];
  /** Pass it as `after` to read on; it moves past events that the reader does not see, too. */
  readonly position: number;
  /** False when this was all there is at the moment. */
  readonly more: boolean;
}

export class ListEvents extends Query<EventsPage> {
  constructor(
    readonly scope: Scope,
    readonly after: number,
    readonly limit: number,
  ) {
    super();
  }
}

@QueryHandler(ListEvents)
export class ListEventsHandler implements IQueryHandler<ListEvents> {
  constructor(private readonly log: EventLog) {}

  async execute({ scope, after, limit }: ListEvents): Promise<EventsPage> {
    let position = after;
    for (let round = 1; ; round += 1) {
      const read = await readVisible(this.log, scope, position, limit);
      position = read.position;
      if (read.events.length > 0 || !read.more || round === ROUNDS)
        return { items: read.events, position, more: read.more };
    }
  }
}
