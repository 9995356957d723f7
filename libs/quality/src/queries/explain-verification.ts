import type { VerificationExplanation } from '@muster/contracts';
import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import { FindSubmission, FindTaskChanges } from '#messages/integration';
import { Database } from '#platform/database';
import { NotFound } from '#platform/http';
import { explanationOf } from '../domain/explanation.ts';
import { verificationColumns, type VerificationRow } from '../domain/verification.ts';

/** How score and verdict came about, and what has changed since the try before. */
export class ExplainVerification extends Query<VerificationExplanation> {
  constructor(readonly verificationId: string) {
    super();
  }
}

@QueryHandler(ExplainVerification)
export class ExplainVerificationHandler implements IQueryHandler<ExplainVerification> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
  ) {}

  async execute({ verificationId }: ExplainVerification): Promise<VerificationExplanation> {
    const row = await this.find(verificationId);
    if (row === null) throw new NotFound();
    if (row.rerun_of !== null) {
      const before = await this.find(row.rerun_of);
      return explanationOf(row, before && { row: before, because: 'rerun' });
    }
    const earlier = await this.earlierTry(row);
    return explanationOf(row, earlier && { row: earlier, because: 'earlier_try' });
  }

  private async find(id: string): Promise<VerificationRow | null> {
    const [row] = await this.database.sql<VerificationRow>(
      `select ${verificationColumns} from verifications where id = $1`,
      [id],
    );
    return row ?? null;
  }

  /** Of what was handed in for the same task before, the last that was verified. */
  private async earlierTry(row: VerificationRow): Promise<VerificationRow | null> {
    if (row.subject_id === null || !row.subject_id.startsWith('sub_')) return null;
    const submission = await this.queries.execute(new FindSubmission(row.subject_id));
    if (submission?.taskId == null) return null;
    const changes = await this.queries.execute(new FindTaskChanges(submission.taskId));
    // The newest first.
    const before = changes
      .map((each) => each.submission)
      .filter((each) => each.id < submission.id && each.verificationId !== null)
      .map((each) => each.verificationId)
      .find((id) => id !== null && id !== row.id);
    return before == null ? null : await this.find(before);
  }
}
