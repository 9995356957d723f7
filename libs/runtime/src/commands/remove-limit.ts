import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { DispatchLimits } from '../dispatch/dispatch-limits.ts';
import { LimitUnknown } from '../runtime.errors.ts';
import { removeLimit } from '../sql/limits.ts';

/** What it held back may begin at once. */
export class RemoveLimit extends Command<void> {
  constructor(
    readonly by: Actor,
    readonly limitId: string,
  ) {
    super();
  }
}

@CommandHandler(RemoveLimit)
export class RemoveLimitHandler implements ICommandHandler<RemoveLimit> {
  constructor(
    private readonly database: Database,
    private readonly limits: DispatchLimits,
  ) {}

  async execute({ by, limitId }: RemoveLimit): Promise<void> {
    await this.database.transaction(async (tx) => {
      const limit = await removeLimit(tx, limitId);
      if (limit === null) throw new LimitUnknown(limitId);
      const { teamId, ...data } = limit;
      tx.append({
        type: 'runtime.limit_removed',
        teamId,
        projectId: limit.projectId,
        subject: limitId,
        data: { ...data, by: by.id },
      });
    });
    await this.limits.changed();
  }
}
