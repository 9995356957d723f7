import type { failBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Config } from '#platform/config';
import { Database, storable } from '#platform/database';
import { Returns } from '../batches/returns.ts';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { afterFailure } from '../domain/lease-rules.ts';
import { endedOf, type Ended } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import { attemptOf, lock, type Holder } from '../sql/leases.ts';
import { applyFailure } from '../sql/outcomes.ts';

/** The agent says that it did not work: tried again later, by another, by a person, as the lease rules say. */
export class FailAttempt extends Command<Ended> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof failBody>,
  ) {
    super();
  }
}

@CommandHandler(FailAttempt)
export class FailAttemptHandler implements ICommandHandler<FailAttempt> {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly returns: Returns,
    private readonly wakeUps: WakeUps,
  ) {}

  async execute({ by, body }: FailAttempt): Promise<Ended> {
    const returned = body.retryable ? await this.returns.add(by, 'failed', storable(body.error)) : null;
    return returned ?? this.settle(by, body);
  }

  /** What is not simply tried again; and who asks again is answered as before. */
  private async settle(by: Holder, body: z.infer<typeof failBody>): Promise<Ended> {
    const answer = await this.database.transaction(async (tx) => {
      const task = await lock(tx, by);
      const attempt = await attemptOf(tx, by);
      if (task === null) {
        if (attempt?.outcome === 'failed' && attempt.answer !== null) return attempt.answer as Ended;
        throw new StaleLease(by.taskId, by.fence);
      }
      const failures = task.failures + 1;
      const after = await applyFailure(tx, task, {
        outcome: 'failed',
        error: storable(body.error),
        failures,
        next: afterFailure({
          failures,
          maxAttempts: task.max_attempts,
          retryable: body.retryable,
          delaysSeconds: attempt?.limits?.retryDelaysSeconds ?? this.config.retryDelaysSeconds,
          capability: task.capability,
        }),
        answerOf: (row) => endedOf(row, by.fence),
      });
      return endedOf(after, by.fence);
    });
    if (answer.state === 'queued') this.wakeUps.somethingToClaim();
    return answer;
  }
}
