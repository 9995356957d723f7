import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { WithdrawSubmission } from '#messages/integration';
import { Database } from '#platform/database';
import { AdvanceSubmission } from './advance-submission.ts';

/** The driver sees it when the submission is looked at next. The first reason stays. */
@CommandHandler(WithdrawSubmission)
export class WithdrawSubmissionHandler implements ICommandHandler<WithdrawSubmission> {
  constructor(
    private readonly database: Database,
    private readonly submissions: AdvanceSubmission,
  ) {}

  async execute({ submissionId, reason }: WithdrawSubmission): Promise<void> {
    const rows = await this.database.sql(
      `update submissions set withdrawn = $2, next_action_at = muster_now()
       where id = $1 and withdrawn is null and state in ('received', 'verifying', 'queued') returning id`,
      [submissionId, reason.replaceAll('\0', '').slice(0, 2000)],
    );
    if (rows.length > 0) await this.submissions.run(submissionId);
  }
}
