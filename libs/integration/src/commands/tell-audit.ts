import { Command, CommandHandler, type ICommandHandler, QueryBus } from '@nestjs/cqrs';
import type { AuditReport } from '@muster/contracts';
import { FindProject } from '#messages/projects';
import { Database } from '#platform/database';
import { NotFound } from '../integration.errors.ts';
import { AuditProject } from '../queries/audit-project.ts';

/** Commits whose problems an event carries; the report has all of them. */
const MOST_TOLD = 20;

/** Audits a project, and tells those who read the stream what was found. */
export class TellAudit extends Command<AuditReport> {
  constructor(
    readonly projectId: string,
    readonly by: string,
  ) {
    super();
  }
}

@CommandHandler(TellAudit)
export class TellAuditHandler implements ICommandHandler<TellAudit> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
  ) {}

  async execute({ projectId, by }: TellAudit): Promise<AuditReport> {
    const project = await this.queries.execute(new FindProject(projectId));
    if (project === null) throw new NotFound('project', projectId);
    const report = await this.queries.execute(new AuditProject(projectId));
    const wrong = report.commits.filter(({ problems }) => problems.length > 0);
    const { branch, ok, checked } = report;
    await this.database.transaction(async (tx) => {
      tx.append({
        type: ok ? 'landing.audit_passed' : 'landing.audit_failed',
        teamId: project.teamId,
        projectId,
        subject: projectId,
        priority: ok ? 'normal' : 'critical',
        data: {
          projectId,
          branch,
          checked,
          wrong: wrong.length,
          problems: wrong.slice(0, MOST_TOLD).map(({ commit, problems }) => ({ commit, problems })),
          by,
        },
      });
    });
    return report;
  }
}
