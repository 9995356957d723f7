import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { WakeUps } from '../dispatch/wake-ups.ts';
import { lockHeldBy, markOffline } from '../sql/instances.ts';
import { closeAttempt, giveBack } from '../sql/outcomes.ts';

/**
 * `bye` gives everything back at once and costs no attempt. A connection that is merely lost keeps its leases until they
 * expire, so that the instance may come back and go on.
 */
export class DisconnectInstance extends Command<{ readonly released: number }> {
  constructor(
    readonly instanceId: string,
    /** Null: whatever its connection is. A connection that was replaced by a newer one changes nothing. */
    readonly connection: string | null,
    readonly how: { readonly kind: 'bye'; readonly reason: string } | { readonly kind: 'lost' },
  ) {
    super();
  }
}

@CommandHandler(DisconnectInstance)
export class DisconnectInstanceHandler implements ICommandHandler<DisconnectInstance> {
  constructor(
    private readonly database: Database,
    private readonly wakeUps: WakeUps,
  ) {}

  async execute({ instanceId, connection, how }: DisconnectInstance): Promise<{ released: number }> {
    const released = await this.database.transaction(async (tx) => {
      const instance = await markOffline(tx, { instanceId, connection, gone: how.kind === 'bye' });
      if (instance === null) return 0;
      tx.append({
        type: 'instance.offline',
        teamId: instance.team_id,
        projectId: null,
        subject: instance.id,
        priority: 'low',
        data: {
          instanceId: instance.id,
          agent: instance.agent,
          reason: how.kind === 'bye' ? how.reason : 'connection lost',
        },
      });
      if (how.kind === 'lost') return 0;
      const held = await lockHeldBy(tx, instanceId);
      for (const { id, fence } of held) {
        await closeAttempt(tx, {
          taskId: id,
          outcome: 'released',
          error: how.reason,
          answer: { taskId: id, fence, state: 'queued', retryAt: null },
        });
        const task = await giveBack(tx, id, instanceId);
        tx.append({
          type: 'task.released',
          teamId: task.team_id,
          projectId: task.project_id,
          subject: task.id,
          data: { taskId: task.id, attempt: task.attempt, fence, reason: how.reason },
        });
      }
      return held.length;
    });
    if (released > 0) this.wakeUps.somethingToClaim();
    return { released };
  }
}
