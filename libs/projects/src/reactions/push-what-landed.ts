import type { CloudEvent } from '@muster/contracts';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';

/** It is only called due: pushing takes as long as the remote likes, and events wait for nobody's network. */
@Reaction({ name: 'push-what-landed', types: ['landing.landed'] })
export class PushWhatLanded implements Reacts {
  constructor(private readonly database: Database) {}

  async react(event: CloudEvent): Promise<void> {
    await this.database.sql(
      `update project_remotes set next_action_at = muster_now()
       where direction = 'to' and project_id = $1 and state <> 'diverged'`,
      [event.projectid],
    );
  }
}
