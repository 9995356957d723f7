import type { checkpointBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { renewedOf, type Renewed } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import { renew, writeCheckpoint, type Holder } from '../sql/leases.ts';

/** What the next attempt starts from, should this one be lost. */
export class SaveCheckpoint extends Command<Renewed> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof checkpointBody>,
  ) {
    super();
  }
}

@CommandHandler(SaveCheckpoint)
export class SaveCheckpointHandler implements ICommandHandler<SaveCheckpoint> {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
  ) {}

  execute({ by, body }: SaveCheckpoint): Promise<Renewed> {
    return this.database.transaction(async (tx) => {
      const held = await renew(tx, by, this.config.leaseSeconds);
      if (held === null) throw new StaleLease(by.taskId, by.fence);
      await writeCheckpoint(tx, by.taskId, body.state);
      return renewedOf(held);
    });
  }
}
