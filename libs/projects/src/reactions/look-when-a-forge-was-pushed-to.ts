import type { CloudEvent } from '@muster/contracts';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { KeepInStep } from '../keep-in-step.ts';

/** A webhook is a hint: what is taken is what the remote then sends. Fetching takes as long as the remote likes, and no event waits for it. */
@Reaction({ name: 'look-when-a-forge-was-pushed-to', types: ['forge.push_seen'] })
export class LookWhenAForgeWasPushedTo implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly remotes: KeepInStep,
  ) {}

  async react(event: CloudEvent): Promise<void> {
    const due = await this.database.sql(
      `update project_remotes set next_action_at = muster_now()
       where direction = 'from' and project_id = $1 and branch = $2 and state <> 'diverged' returning project_id`,
      [event.projectid, event.data['branch']],
    );
    if (due.length > 0) this.remotes.soon();
  }
}
