import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import type { SubmissionView } from '@muster/contracts';
import { FindSubmission } from '#messages/integration';
import { Database } from '#platform/database';
import { submissionColumns, type SubmissionRow, submissionViewOf } from '../domain/submission.ts';

@QueryHandler(FindSubmission)
export class FindSubmissionHandler implements IQueryHandler<FindSubmission> {
  constructor(private readonly database: Database) {}

  async execute({ submissionId }: FindSubmission): Promise<SubmissionView | null> {
    const [row] = await this.database.sql<SubmissionRow>(`select ${submissionColumns} from submissions where id = $1`, [
      submissionId,
    ]);
    return row === undefined ? null : submissionViewOf(row);
  }
}
