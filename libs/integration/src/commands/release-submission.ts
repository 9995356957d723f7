import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { SubmissionView } from '@muster/contracts';
import { ReleaseSubmission } from '#messages/integration';
import { Database } from '#platform/database';
import { submissionColumns, type SubmissionRow, submissionViewOf } from '../domain/submission.ts';
import { NotFound, NotHeld } from '../integration.errors.ts';
import { AdvanceSubmission } from './advance-submission.ts';

/** The first name stays; saying it again changes nothing. Before acceptance it counts as well: evidence is asked for all the same. */
@CommandHandler(ReleaseSubmission)
export class ReleaseSubmissionHandler implements ICommandHandler<ReleaseSubmission> {
  constructor(
    private readonly database: Database,
    private readonly submissions: AdvanceSubmission,
  ) {}

  async execute({ submissionId, person }: ReleaseSubmission): Promise<SubmissionView> {
    const row = await this.database.transaction(async (tx) => {
      const [before] = await tx.sql<SubmissionRow>(
        `select ${submissionColumns} from submissions where id = $1 for update`,
        [submissionId],
      );
      if (before === undefined) throw new NotFound('submission', submissionId);
      if (before.released_by !== null) return before;
      if (!['received', 'verifying', 'queued'].includes(before.state)) throw new NotHeld(submissionId, before.state);
      const [after = before] = await tx.sql<SubmissionRow>(
        `update submissions set released_by = $2::jsonb, updated_at = muster_now(),
           next_action_at = case when held = 'person' then muster_now() else next_action_at end
         where id = $1 returning ${submissionColumns}`,
        [submissionId, JSON.stringify(person)],
      );
      tx.append({
        type: 'submission.released',
        teamId: after.team_id,
        projectId: after.project_id,
        subject: after.id,
        data: { submissionId, taskId: after.task_id, releasedBy: person },
      });
      return after;
    });
    if (row.held === 'person') await this.submissions.run(submissionId);
    return submissionViewOf(row);
  }
}
