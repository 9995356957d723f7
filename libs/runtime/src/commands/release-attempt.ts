import type { releaseBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Database, storable } from '#platform/database';
import { Returns } from '../batches/returns.ts';
import type { Ended } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import { attemptOf, type Holder } from '../sql/leases.ts';

/** Gives the task back at once, without having cost an attempt. */
export class ReleaseAttempt extends Command<Ended> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof releaseBody>,
  ) {
    super();
  }
}

@CommandHandler(ReleaseAttempt)
export class ReleaseAttemptHandler implements ICommandHandler<ReleaseAttempt> {
  constructor(
    private readonly database: Database,
    private readonly returns: Returns,
  ) {}

  async execute({ by, body }: ReleaseAttempt): Promise<Ended> {
    const returned = await this.returns.add(by, 'released', storable(body.reason));
    if (returned !== null) return returned;
    const attempt = await attemptOf(this.database, by);
    if (attempt?.outcome === 'released' && attempt.answer !== null) return attempt.answer as Ended;
    throw new StaleLease(by.taskId, by.fence);
  }
}
