import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { SetView } from '@muster/contracts';
import { Ids } from '#kernel';
import { Database, violatedConstraint } from '#platform/database';
import { setColumns, type SetRow } from '../domain/set.ts';
import { NotFound, SetNotLanded } from '../integration.errors.ts';
import { LandingSets, setEvent } from '../landing-sets.ts';
import { FindSet } from '../queries/show-sets.ts';
import { AdvanceSet } from './advance-set.ts';

/** A set that landed together comes out together: the reverts of its landings are a set themselves. Asked again, the answer is that one. */
export class RollBackSet extends Command<SetView> {
  constructor(
    readonly setId: string,
    readonly reason: string,
    readonly requestedBy: string,
  ) {
    super();
  }
}

@CommandHandler(RollBackSet)
export class RollBackSetHandler implements ICommandHandler<RollBackSet> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly ids: Ids,
    private readonly sets: LandingSets,
    private readonly advance: AdvanceSet,
  ) {}

  async execute({ setId, reason, requestedBy }: RollBackSet): Promise<SetView> {
    const set = await this.sets.find(setId);
    if (set === null) throw new NotFound('set', setId);
    const open = await this.findOpen(setId);
    if (open !== null) return await this.queries.execute(new FindSet(open));
    if (set.state !== 'landed') throw new SetNotLanded(setId, set.state);
    const id = this.ids.next('set');
    try {
      await this.database.transaction(async (tx) => {
        const [revert] = await tx.sql<SetRow>(
          `insert into landing_sets (id, team_id, title, kind, state, reverts_set_id, requested_by, next_action_at)
           values ($1, $2, $3, 'revert', 'gathering', $4, $5, muster_now()) returning ${setColumns}`,
          [id, set.team_id, reason.replaceAll('\0', ''), setId, requestedBy],
        );
        if (revert === undefined) throw new Error('An inserted row did not come back.');
        const members = await tx.sql<{ id: string }>(
          `insert into landing_set_members (set_id, project_id, reverts_landing_id)
           select $1, project_id, id from landings where set_id = $2 and state = 'landed' returning reverts_landing_id as id`,
          [id, setId],
        );
        tx.append(setEvent(revert, 'set.created', { reverts: setId, landings: members.map((one) => one.id) }));
      });
    } catch (error) {
      const first = violatedConstraint(error) === 'landing_sets_one_rollback' ? await this.findOpen(setId) : null;
      if (first === null) throw error;
      return await this.queries.execute(new FindSet(first));
    }
    await this.advance.run(id);
    return await this.queries.execute(new FindSet(id));
  }

  private async findOpen(setId: string): Promise<string | null> {
    const [row] = await this.database.sql<{ id: string }>(
      `select id from landing_sets where reverts_set_id = $1 and state <> 'failed' limit 1`,
      [setId],
    );
    return row?.id ?? null;
  }
}
