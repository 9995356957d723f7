import type { CloudEvent } from '@muster/contracts';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { AdvanceIncident } from '../commands/advance-incident.ts';

/** The next landing of an incident comes out when the one behind it is out; when a revert does not come in, a person hears of it. */
@Reaction({
  name: 'go-on-when-a-revert-moved',
  types: ['landing.rolled_back', 'landing.rollback_conflicted', 'submission.rejected'],
})
export class GoOnWhenARevertMoved implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly incidents: AdvanceIncident,
  ) {}

  async react(event: CloudEvent): Promise<void> {
    if (event.subject === null) return;
    if (event.type !== 'submission.rejected') return await this.incidents.runAbout(event.subject);
    const [row] = await this.database.sql<{ reverts_landing_id: string | null }>(
      `select reverts_landing_id from submissions where id = $1`,
      [event.subject],
    );
    const reverted = row?.reverts_landing_id ?? null;
    if (reverted !== null) await this.incidents.runAbout(reverted);
  }
}
