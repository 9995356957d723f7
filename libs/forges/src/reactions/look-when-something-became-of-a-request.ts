import { QueryBus } from '@nestjs/cqrs';
import type { CloudEvent } from '@muster/contracts';
import { FindLanding } from '#messages/integration';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { Rounds } from '#platform/rounds';
import { FORGE_REQUESTS } from '../commands/look-at-requests.ts';

/** It is only called due: a look asks the forge, and events wait for nobody's network. */
@Reaction({
  name: 'look-when-something-became-of-a-request',
  types: [
    'submission.*',
    'queue.*',
    'landing.landed',
    'landing.rolled_back',
    'project.remote_in_step',
    'forge.request_taken',
  ],
})
export class LookWhenSomethingBecameOfARequest implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly rounds: Rounds,
  ) {}

  async react({ type, subject, projectid, data }: CloudEvent): Promise<void> {
    if (type === 'project.remote_in_step') {
      // What has landed of these can be seen there now.
      if (data['direction'] === 'to') await this.due(`r.project_id = $1 and r.state = 'open'`, projectid ?? null);
      return;
    }
    const landing = type.startsWith('landing.') ? await this.queries.execute(new FindLanding(subject ?? '')) : null;
    await this.due('r.submission_id = $1', landing?.submissionId ?? subject ?? null);
  }

  private async due(which: string, of: string | null): Promise<void> {
    const rows = await this.database.sql(
      `update forge_requests r set wanted = wanted + 1, failures = 0, next_action_at = muster_now() where ${which} returning id`,
      [of],
    );
    if (rows.length > 0) this.rounds.soon(FORGE_REQUESTS);
  }
}
