import type { releaseBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Database, storable } from '#platform/database';
import { hintOf, WakeUps, type ReadyHint } from '../dispatch/wake-ups.ts';
import { type Ended } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import { attemptOf, lock, type Holder } from '../sql/leases.ts';
import { closeAttempt, giveBack } from '../sql/outcomes.ts';

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
    private readonly wakeUps: WakeUps,
  ) {}

  async execute({ by, body }: ReleaseAttempt): Promise<Ended> {
    const reason = storable(body.reason);
    let hint: ReadyHint | null = null;
    const answer = await this.database.transaction(async (tx) => {
      const task = await lock(tx, by);
      if (task === null) {
        const attempt = await attemptOf(tx, by);
        if (attempt?.outcome === 'released' && attempt.answer !== null) return attempt.answer as Ended;
        throw new StaleLease(by.taskId, by.fence);
      }
      const answer: Ended = { taskId: task.id, fence: by.fence, state: 'queued', retryAt: null };
      await closeAttempt(tx, { taskId: task.id, outcome: 'released', error: reason, answer });
      hint = hintOf(await giveBack(tx, task.id, task.instance_id));
      tx.append({
        type: 'task.released',
        teamId: task.team_id,
        projectId: task.project_id,
        subject: task.id,
        data: { taskId: task.id, attempt: task.attempt, fence: by.fence, reason },
      });
      return answer;
    });
    this.wakeUps.somethingToClaim(hint === null ? null : [hint]);
    return answer;
  }
}
