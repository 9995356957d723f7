import type { CloudEvent } from '@muster/contracts';
import { RESOLVE_CAPABILITY } from '#messages/runtime';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { AdvanceSubmission } from '../commands/advance-submission.ts';

@Reaction({
  name: 'advance-when-a-conflict-was-looked-at',
  types: ['task.succeeded', 'task.failed', 'task.cancelled'],
  where: { capability: [RESOLVE_CAPABILITY] },
})
export class AdvanceWhenAConflictWasLookedAt implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly submissions: AdvanceSubmission,
  ) {}

  async react({ data: { taskId } }: CloudEvent): Promise<void> {
    const rows = await this.database.sql<{ id: string }>(
      `select id from submissions where state in ('received', 'queued') and resolution ->> 'taskId' = $1`,
      [taskId],
    );
    for (const { id } of rows) await this.submissions.run(id);
  }
}
