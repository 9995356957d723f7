import type { checkpointBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Reports } from '../batches/reports.ts';
import type { Renewed } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import type { Holder } from '../sql/leases.ts';

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
  constructor(private readonly reports: Reports) {}

  async execute({ by, body }: SaveCheckpoint): Promise<Renewed> {
    const reported = await this.reports.add(by, { kind: 'checkpoint', state: JSON.stringify(body.state) });
    if (reported === null) throw new StaleLease(by.taskId, by.fence);
    return reported.renewed;
  }
}
