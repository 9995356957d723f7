import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { InstanceUnknown } from '../runtime.errors.ts';
import { touchInstance } from '../sql/instances.ts';
import { endedOf, renewMany } from '../sql/leases.ts';

type Held = readonly { readonly taskId: string; readonly fence: number }[];

/** The heartbeat: a sign of life, and all leases renewed. What is not the instance's any more is named as stale. */
export class RenewLeases extends Command<{ stale: { taskId: string; fence: number }[] }> {
  constructor(
    readonly actorId: string,
    readonly instanceId: string,
    readonly connection: string | null,
    readonly held: Held,
  ) {
    super();
  }
}

@CommandHandler(RenewLeases)
export class RenewLeasesHandler implements ICommandHandler<RenewLeases> {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
  ) {}

  async execute({
    actorId,
    instanceId,
    connection,
    held,
  }: RenewLeases): Promise<{ stale: { taskId: string; fence: number }[] }> {
    const renewed = await this.database.transaction(async (tx) => {
      const instance = await touchInstance(tx, { instanceId, actorId, connection });
      if (instance === null) throw new InstanceUnknown(instanceId);
      return held.length === 0
        ? []
        : renewMany(tx, { actorId, instanceId, held, leaseSeconds: this.config.leaseSeconds });
    });
    const kept = new Set(renewed.map((lease) => `${lease.id} ${lease.fence}`));
    const lost = held.filter(({ taskId, fence }) => !kept.has(`${taskId} ${fence}`));
    if (lost.length === 0) return { stale: [] };
    // A beat that crossed with the attempt's own completion or submission has lost nothing.
    const crossed = new Set(
      (await endedOf(this.database, lost))
        .filter(({ outcome }) => outcome === 'completed' || outcome === 'submitted')
        .map(({ taskId, fence }) => `${taskId} ${fence}`),
    );
    return {
      stale: lost
        .filter(({ taskId, fence }) => !crossed.has(`${taskId} ${fence}`))
        .map(({ taskId, fence }) => ({ taskId, fence })),
    };
  }
}
