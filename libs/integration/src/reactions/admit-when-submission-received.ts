import type { CloudEvent } from '@muster/contracts';
import { Reaction, type Reacts } from '#platform/eventlog';
import { AdvanceSubmission } from '../commands/advance-submission.ts';

@Reaction({ name: 'admit-when-submission-received', types: ['submission.received'] })
export class AdmitWhenSubmissionReceived implements Reacts {
  constructor(private readonly submissions: AdvanceSubmission) {}

  async react(event: CloudEvent): Promise<void> {
    if (event.subject !== null) await this.submissions.run(event.subject);
  }
}
