import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { Beats } from '../batches/beats.ts';
import { InstanceUnknown } from '../runtime.errors.ts';
import { endedOf } from '../sql/leases.ts';

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
    private readonly beats: Beats,
  ) {}

  async execute({
    actorId,
    instanceId,
    connection,
    held,
  }: RenewLeases): Promise<{ stale: { taskId: string; fence: number }[] }> {
    const { known, lost } = await this.beats.add({ actorId, instanceId, connection, held });
    if (!known) throw new InstanceUnknown(instanceId);
    if (lost.length === 0) return { stale: [] };
    // A beat that crossed with the attempt's own completion or submission has lost nothing.
    const crossed = new Set(
      (await endedOf(this.database, lost))
        .filter(({ outcome }) => outcome === 'completed' || outcome === 'submitted')
        .map(({ taskId, fence }) => `${taskId} ${fence}`),
    );
    return { stale: lost.filter(({ taskId, fence }) => !crossed.has(`${taskId} ${fence}`)) };
  }
}
