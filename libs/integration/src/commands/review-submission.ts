import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { Approver, ReviewSubmission as Said, ReviewView } from '@muster/contracts';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { reviewColumns } from '../domain/review-row.ts';
import { submissionColumns, type SubmissionRow } from '../domain/submission.ts';
import { NotFound, NotReviewable, OwnWork } from '../integration.errors.ts';
import { Reviews } from '../reviews.ts';
import { AdvanceSubmission } from './advance-submission.ts';

/** A person's word on the content of a submission. It counts for that content wherever it is handed in again, and for no other. */
export class ReviewSubmission extends Command<ReviewView> {
  constructor(
    readonly submissionId: string,
    readonly said: Said,
    readonly person: Approver,
  ) {
    super();
  }
}

@CommandHandler(ReviewSubmission)
export class ReviewSubmissionHandler implements ICommandHandler<ReviewSubmission> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
    private readonly reviews: Reviews,
    private readonly submissions: AdvanceSubmission,
  ) {}

  async execute({ submissionId, said, person }: ReviewSubmission): Promise<ReviewView> {
    const [row] = await this.database.sql<SubmissionRow>(`select ${submissionColumns} from submissions where id = $1`, [
      submissionId,
    ]);
    if (row === undefined) throw new NotFound('submission', submissionId);
    if (row.kind === 'revert' || !['received', 'verifying', 'queued'].includes(row.state)) {
      throw new NotReviewable(submissionId, row.kind === 'revert' ? 'a revert' : row.state);
    }
    if ((await this.reviews.authorOf(row)) === person.id) throw new OwnWork(submissionId);
    const baseTree = await this.repositories.treeOf(row.project_id, row.base);
    const review = await this.database.transaction(async (tx) => {
      const [written] = await tx.sql<ReviewView>(
        `insert into reviews (project_id, base_tree, tree, user_id, team_id, submission_id, name, verdict, comment)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (project_id, base_tree, tree, user_id) do update set submission_id = excluded.submission_id, name = excluded.name,
           verdict = excluded.verdict, comment = excluded.comment, created_at = muster_now()
         returning ${reviewColumns}`,
        [
          row.project_id, baseTree, row.tree, person.id, row.team_id, row.id, person.name, said.verdict,
          said.comment?.replaceAll('\0', '') ?? null,
        ], // prettier-ignore
      );
      if (written === undefined) throw new Error('An inserted row did not come back.');
      tx.append({
        type: said.verdict === 'approve' ? 'submission.approved' : 'submission.review_rejected',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: row.id,
        data: { submissionId: row.id, taskId: row.task_id, by: person, comment: written.comment, tree: row.tree },
      });
      // Whatever waits with this content looks again at once.
      await tx.sql(
        `update submissions set next_action_at = muster_now()
         where project_id = $1 and tree = $2 and state in ('received', 'verifying', 'queued')`,
        [row.project_id, row.tree],
      );
      return written;
    });
    await this.submissions.run(row.id);
    return review;
  }
}
