import type { TaskAssignment } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { Assignments } from '../dispatch/assignments.ts';
import { Claims } from '../dispatch/claims.ts';
import { DispatchLimits } from '../dispatch/dispatch-limits.ts';
import { Eligibility } from '../dispatch/eligibility.ts';
import { Lanes } from '../dispatch/lanes.ts';
import { ReadyLanes } from '../dispatch/ready-lanes.ts';
import type { InstanceRow } from '../domain/task-row.ts';
import type { Claimed } from '../sql/claim.ts';

/** Takes up to `count` tasks for an instance, each with a lease and a new fence, and says everything that its agent needs to know. */
export class ClaimTasks extends Command<TaskAssignment[]> {
  constructor(
    readonly actor: Actor,
    readonly instance: InstanceRow,
    readonly count: number,
    /** False: what this process has heard of is enough. */
    readonly fresh = true,
  ) {
    super();
  }
}

@CommandHandler(ClaimTasks)
export class ClaimTasksHandler implements ICommandHandler<ClaimTasks> {
  constructor(
    private readonly eligibility: Eligibility,
    private readonly lanes: Lanes,
    private readonly readyLanes: ReadyLanes,
    private readonly claims: Claims,
    private readonly assignments: Assignments,
    private readonly limits: DispatchLimits,
  ) {}

  async execute({ actor, instance, count, fresh }: ClaimTasks): Promise<TaskAssignment[]> {
    for (;;) {
      const { claimed, outdated } = await this.claim(actor, instance, count, fresh);
      // Limits changed a moment ago: with them, once more.
      if (outdated && claimed.length === 0) {
        await this.limits.look();
        continue;
      }
      if (claimed.length === 0) return [];
      const offers = await this.assignments.of(claimed);
      return claimed.flatMap((row) => {
        const offer = offers.get(row.fence);
        return offer === undefined ? [] : [JSON.parse(offer.text) as TaskAssignment];
      });
    }
  }

  private async claim(
    actor: Actor,
    instance: InstanceRow,
    count: number,
    fresh: boolean,
  ): Promise<{ claimed: Claimed[]; outdated: boolean }> {
    const numbers = await this.readyLanes.current(fresh);
    const lanes = await this.lanes.all([...new Set(numbers.map(Math.abs))]);
    const may = await this.eligibility.lanesFor([{ instance, actor }], [...lanes.values()]);
    const own = (may.get(instance.id) ?? []).flatMap((id) => lanes.get(id) ?? []);
    if (own.length === 0) return { claimed: [], outdated: false };
    return this.claims.forOne(instance, own, count);
  }
}
