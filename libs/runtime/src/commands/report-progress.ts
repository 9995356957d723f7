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
      const held = await renew(tx, by, this.config.leaseSeconds);
      if (held === null) throw new StaleLease(by.taskId, by.fence);
      await writeProgress(tx, by.taskId, body.ratio ?? null, message);
      tx.append({
        type: 'task.progress',
        teamId: held.team_id,
        projectId: held.project_id,
        subject: by.taskId,
        priority: 'low',
        data: { taskId: by.taskId, fence: by.fence, ratio: body.ratio ?? null, message },
      });
      return renewedOf(held);
    });
  }
}
