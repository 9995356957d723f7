import type { CloudEvent } from '@muster/contracts';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { KeepInStep } from '../keep-in-step.ts';

/** It is only called due, and soon: pushing takes as long as the remote likes, and events wait for nobody's network. */
@Reaction({ name: 'push-what-landed', types: ['landing.landed'] })
export class PushWhatLanded implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly remotes: KeepInStep,
  ) {}

  async react(event: CloudEvent): Promise<void> {
    const due = await this.database.sql(
      `update project_remotes set next_action_at = muster_now()
       where direction = 'to' and project_id = $1 and state <> 'diverged' returning project_id`,
      [event.projectid],
    );
    if (due.length > 0) this.remotes.soon();
  }
}
