import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { WithdrawSubmissions } from '#messages/integration';
import { Database } from '#platform/database';
import { AdvanceSubmission } from './advance-submission.ts';

/** The driver sees it when a submission is looked at next. The first reason stays. */
@CommandHandler(WithdrawSubmissions)
export class WithdrawSubmissionsHandler implements ICommandHandler<WithdrawSubmissions> {
  constructor(
    private readonly database: Database,
    private readonly submissions: AdvanceSubmission,
  ) {}

  async execute({ projectId, origins, kept, reason }: WithdrawSubmissions): Promise<void> {
    const rows = await this.database.sql<{ id: string }>(
      `update submissions set withdrawn = $4, next_action_at = muster_now()
       where project_id = $1 and starts_with(origin, $2) and origin is distinct from $3
         and withdrawn is null and state in ('received', 'verifying', 'queued') returning id`,
      [projectId, origins, kept, reason.replaceAll('\0', '').slice(0, 2000)],
    );
    for (const { id } of rows) await this.submissions.run(id);
  }
}
