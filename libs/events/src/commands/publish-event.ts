import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { publishEvent } from '@muster/contracts';
import type { z } from 'zod';
import { Ids } from '#kernel';
import { isOwnEvent } from '#messages/events';
import { Database } from '#platform/database';
import { EventTooLarge, TypeReserved } from '../events.errors.ts';

const LIMIT_BYTES = 256 * 1024;

/** Puts a fact from outside into the log. Whatever it starts follows after the answer. */
export class PublishEvent extends Command<{ id: string; type: string }> {
  constructor(
    readonly teamId: string,
    readonly event: z.output<typeof publishEvent>,
  ) {
    super();
  }
}

@CommandHandler(PublishEvent)
export class PublishEventHandler implements ICommandHandler<PublishEvent> {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
  ) {}

  async execute({ teamId, event }: PublishEvent): Promise<{ id: string; type: string }> {
    const { type, projectId = null, subject = null, priority, data } = event;
    if (isOwnEvent(type)) throw new TypeReserved(type);
    const bytes = Buffer.byteLength(JSON.stringify(data));
    if (bytes > LIMIT_BYTES) throw new EventTooLarge(bytes, LIMIT_BYTES);
    const id = this.ids.next('event');
    await this.database.transaction(async (tx) => tx.append({ id, type, teamId, projectId, subject, priority, data }));
    return { id, type };
  }
}
