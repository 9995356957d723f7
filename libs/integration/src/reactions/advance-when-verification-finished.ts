import type { CloudEvent } from '@muster/contracts';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { AdvanceLanding } from '../commands/advance-landing.ts';
import { AdvanceSubmission } from '../commands/advance-submission.ts';

/** Evidence may be shared: everyone who waits for this verification goes on, not only who asked first. */
@Reaction({ name: 'advance-when-verification-finished', types: ['verification.finished'] })
export class AdvanceWhenVerificationFinished implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly submissions: AdvanceSubmission,
    private readonly landings: AdvanceLanding,
  ) {}

  async react(event: CloudEvent): Promise<void> {
    const submissions = await this.database.sql<{ id: string }>(
      `select id from submissions where verification_id = $1 and state = 'verifying' order by id`,
      [event.subject],
    );
    for (const { id } of submissions) await this.submissions.run(id);
    const landings = await this.database.sql<{ id: string }>(
      `select id from landings where post_verification_id = $1 and post_landing = 'pending' order by id`,
      [event.subject],
    );
    for (const { id } of landings) await this.landings.run(id);
  }
}
