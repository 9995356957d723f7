import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import type { LandingView, SubmissionView } from '@muster/contracts';
import { FindTaskChanges } from '#messages/integration';
import { Database } from '#platform/database';
import { landingColumns, type LandingRow, landingViewOf } from '../domain/landing.ts';
import { submissionColumns, type SubmissionRow, submissionViewOf } from '../domain/submission.ts';

const most = 100;

@QueryHandler(FindTaskChanges)
export class FindTaskChangesHandler implements IQueryHandler<FindTaskChanges> {
  constructor(private readonly database: Database) {}

  async execute({ taskId }: FindTaskChanges): Promise<{ submission: SubmissionView; landing: LandingView | null }[]> {
    const submissions = await this.database.sql<SubmissionRow>(
      `select ${submissionColumns} from submissions where task_id = $1 order by id desc limit ${most}`,
      [taskId],
    );
    const landings = await this.database.sql<LandingRow>(
      `select ${landingColumns} from landings where submission_id = any ($1::text[]) and state <> 'abandoned'`,
      [submissions.map(({ id }) => id)],
    );
    const bySubmission = new Map(landings.map((row) => [row.submission_id, landingViewOf(row)]));
    return submissions.map((row) => ({
      submission: submissionViewOf(row),
      landing: bySubmission.get(row.id) ?? null,
    }));
  }
}
