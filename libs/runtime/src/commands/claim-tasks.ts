import type { TaskAssignment } from '@muster/contracts';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Actor } from '#messages/auth';
import { Assignments } from '../dispatch/assignments.ts';
import { Claims } from '../dispatch/claims.ts';
import { Eligibility } from '../dispatch/eligibility.ts';
import { Lanes } from '../dispatch/lanes.ts';
import { ReadyLanes } from '../dispatch/ready-lanes.ts';
import type { InstanceRow } from '../domain/task-row.ts';

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
  ) {}

  async execute({ actor, instance, count, fresh }: ClaimTasks): Promise<TaskAssignment[]> {
    const numbers = await this.readyLanes.current(fresh);
    const lanes = await this.lanes.all([...new Set(numbers.map(Math.abs))]);
    const may = await this.eligibility.lanesFor([{ instance, actor }], [...lanes.values()]);
    const own = (may.get(instance.id) ?? []).flatMap((id) => lanes.get(id) ?? []);
    if (own.length === 0) return [];
    const claimed = await this.claims.forOne(instance, own, count);
    if (claimed.length === 0) return [];
    const offers = await this.assignments.of(claimed);
    return claimed.flatMap((row) => {
      const offer = offers.get(row.fence);
      return offer === undefined ? [] : [JSON.parse(offer.text) as TaskAssignment];
    });
  }
}
