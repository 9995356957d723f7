import type { CloudEvent } from '@muster/contracts';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { AdvanceSubmission } from '../commands/advance-submission.ts';

/** What nobody wants any more does not land; the driver sees the task's state when it is looked at. */
@Reaction({ name: 'withdraw-when-task-cancelled', types: ['task.cancelled'] })
export class WithdrawWhenTaskCancelled implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly submissions: AdvanceSubmission,
  ) {}

  async react(event: CloudEvent): Promise<void> {
    const rows = await this.database.sql<{ id: string }>(
      `select id from submissions where task_id = $1 and state in ('received', 'verifying', 'queued') order by id`,
      [event.subject],
    );
    for (const { id } of rows) await this.submissions.run(id);
  }
}
