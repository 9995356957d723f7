import { Injectable, Logger } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { RollBackLanding } from '#messages/integration';
import { MusterError } from '#kernel';
import { Database } from '#platform/database';
import type { SetRow } from '../domain/set.ts';
import { LandingSets } from '../landing-sets.ts';
import { LandSet } from './land-set.ts';

const LOOK_AGAIN_SECONDS = 30;

/** What a set is owed besides its members' own ways: the reverts of a rollback, and the end of what was begun. Safe to call at any time. */
@Injectable()
export class AdvanceSet {
  private readonly logger = new Logger(AdvanceSet.name);

  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly sets: LandingSets,
    private readonly landing: LandSet,
  ) {}

  async run(setId: string): Promise<void> {
    const set = await this.sets.find(setId);
    if (set === null || ['landed', 'failed', 'rolled_back'].includes(set.state)) return;
    try {
      if (set.state === 'gathering') {
        if (set.kind === 'revert') await this.makeReverts(set);
        await this.sets.gather(set);
      } else if (set.state !== 'queued') await this.landing.finish(set.id);
      await this.lookAgain(set.id, LOOK_AGAIN_SECONDS, null);
      await this.sets.wake(set.id);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.logger.error(
        `${set.id} (${set.state}) could not go on: ${why}`,
        error instanceof Error ? error.stack : undefined,
      );
      await this.lookAgain(set.id, 5, why);
    }
  }

  private async lookAgain(setId: string, seconds: number, error: string | null): Promise<void> {
    await this.database.sql(
      `update landing_sets set last_error = $3, failures = case when $3::text is null then 0 else failures + 1 end,
         next_action_at = muster_now() + make_interval(secs => $2::float8 * least(12, power(2, least(failures, 4))))
       where id = $1 and next_action_at is not null`,
      [setId, seconds, error?.slice(0, 2000) ?? null],
    );
  }

  /** One for each member; asked twice, the answer is the one that there is. */
  private async makeReverts(set: SetRow): Promise<void> {
    for (const { reverts_landing_id: landingId, submission_id: made } of await this.sets.members(set.id)) {
      if (landingId === null || made !== null) continue;
      try {
        await this.commands.execute(new RollBackLanding(landingId, set.title, set.requested_by));
      } catch (error) {
        if (!(error instanceof MusterError) || error.status >= 500) throw error;
        await this.sets.fail(set, [error.message]);
        return;
      }
    }
  }
}
