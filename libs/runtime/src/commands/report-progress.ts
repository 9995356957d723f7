import type { progressBody } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { storable } from '../domain/storable.ts';
import { renewedOf, type Renewed } from '../domain/verb-answers.ts';
import { StaleLease } from '../runtime.errors.ts';
import { renew, writeProgress, type Holder } from '../sql/leases.ts';

export class ReportProgress extends Command<Renewed> {
  constructor(
    readonly by: Holder,
    readonly body: z.infer<typeof progressBody>,
  ) {
    super();
  }
}

@CommandHandler(ReportProgress)
export class ReportProgressHandler implements ICommandHandler<ReportProgress> {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
  ) {}

  execute({ by, body }: ReportProgress): Promise<Renewed> {
    const message = storable(body.message);
    return this.database.transaction(async (tx) => {
      const task = await renew(tx, by, this.config.leaseSeconds);
      if (task === null) throw new StaleLease(by.taskId, by.fence);
      await writeProgress(tx, by.fence, body.ratio ?? null, message);
      tx.append({
        type: 'task.progress',
        teamId: task.team_id,
        projectId: task.project_id,
        subject: task.id,
        priority: 'low',
        data: { taskId: task.id, fence: by.fence, ratio: body.ratio ?? null, message },
      });
      return renewedOf(task);
    });
  }
}
