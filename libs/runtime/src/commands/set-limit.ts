import type { LimitView, SetLimit as Wish } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Ids } from '#kernel';
import type { Actor } from '#messages/auth';
import { Database } from '#platform/database';
import { DispatchLimits } from '../dispatch/dispatch-limits.ts';
import { isReserved } from '../domain/lease-rules.ts';
import { limitViewOf } from '../domain/limit-view.ts';
import { ReservedCapability, TooManyLimits } from '../runtime.errors.ts';
import { limitById, putLimit } from '../sql/limits.ts';

/** Each claim of the team looks at all of them. */
const most = 200;

/** So many tasks run at once, or begin in a while. What runs already goes on; nothing more begins until there is room. */
export class SetLimit extends Command<LimitView> {
  constructor(
    readonly by: Actor,
    readonly wish: Wish,
  ) {
    super();
  }
}

@CommandHandler(SetLimit)
export class SetLimitHandler implements ICommandHandler<SetLimit> {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
    private readonly limits: DispatchLimits,
  ) {}

  async execute({ by, wish }: SetLimit): Promise<LimitView> {
    if (wish.capability !== undefined && isReserved(wish.capability)) throw new ReservedCapability(wish.capability);
    const limit = {
      id: this.ids.next('limit'),
      teamId: by.teamId,
      projectId: wish.projectId ?? null,
      capability: wish.capability ?? null,
      agent: wish.agent ?? null,
      maxRunning: wish.maxRunning ?? null,
      maxStarts: wish.maxStarts ?? null,
      perSeconds: wish.perSeconds ?? null,
    };
    const row = await this.database.transaction(async (tx) => {
      const id = await putLimit(tx, { ...limit, by: by.id, most });
      if (id === null) throw new TooManyLimits(most);
      const { teamId, projectId, ...data } = limit;
      tx.append({
        type: 'runtime.limit_set',
        teamId,
        projectId,
        subject: id,
        data: { ...data, id, projectId, by: by.id },
      });
      return limitById(tx, id);
    });
    if (row === null) throw new Error('The limit was not there in the transaction that wrote it.');
    await this.limits.changed();
    return limitViewOf(row);
  }
}
