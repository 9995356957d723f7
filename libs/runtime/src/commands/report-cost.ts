import type { costBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { renewedOf, type Renewed } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import { renew, writeCost, type Holder } from '../sql/leases.ts';
import { closeAttempt, wait } from '../sql/outcomes.ts';
import { taskById } from '../sql/tasks.ts';

/** Counted once for each key, for the task and everything above it. A task that spends more than its agent may stops. */
export class ReportCost extends Command<Renewed & { readonly counted: boolean }> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof costBody>,
  ) {
    super();
  }
}

@CommandHandler(ReportCost)
export class ReportCostHandler implements ICommandHandler<ReportCost> {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly wakeUps: WakeUps,
  ) {}

  async execute({ by, body }: ReportCost): Promise<Renewed & { readonly counted: boolean }> {
    const { answer, stopped } = await this.database.transaction(async (tx) => {
      const held = await renew(tx, by, this.config.leaseSeconds);
      if (held === null) throw new StaleLease(by.taskId, by.fence);
      const counted = await writeCost(tx, {
        taskId: by.taskId,
        fence: by.fence,
        key: body.key,
        usd: body.usd,
        model: body.model ?? null,
        inputTokens: body.inputTokens ?? null,
        outputTokens: body.outputTokens ?? null,
      });
      const answer = { ...renewedOf(held), counted };
      const budget = held.limits?.costUsd ?? null;
      const task = await taskById(tx, by.taskId);
      const spent = Number((Number(task?.own_cost_usd ?? 0) - Number(task?.forgiven_cost_usd ?? 0)).toFixed(6));
      if (!counted || task === null || budget === null || spent <= budget) return { answer, stopped: null };

      const error = `the budget of $${budget} is spent ($${spent}): a person decides whether it goes on`;
      await closeAttempt(tx, { taskId: by.taskId, outcome: 'failed', error });
      await wait(tx, by.taskId, { reason: 'person', detail: error, error, failures: task.failures + 1 });
      const about = { teamId: task.team_id, projectId: task.project_id, subject: task.id };
      tx.append(
        {
          ...about,
          type: 'task.attempt_failed',
          data: { taskId: task.id, attempt: task.attempt, fence: by.fence, error, retryAt: null },
        },
        { ...about, type: 'task.waiting', data: { taskId: task.id, reason: 'person', ref: null } },
      );
      return { answer, stopped: error };
    });
    if (stopped !== null) this.wakeUps.attemptEnded({ taskId: by.taskId, fence: by.fence, reason: stopped });
    return answer;
  }
}
