import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { Incident } from '@muster/contracts';
import type { Page } from '#kernel';
import { Database } from '#platform/database';
import { subjectOf } from '../domain/commit-message.ts';
import { incidentColumns, type IncidentRow } from '../domain/incident.ts';
import { type LandingRow, landingColumns } from '../domain/landing.ts';
import { submissionColumns, type SubmissionRow } from '../domain/submission.ts';
import { NotFound } from '../integration.errors.ts';
import { type ListFilter, pageOf } from './list-submissions.ts';
import { decodeCursor } from '#kernel';

export class FindIncident extends Query<Incident> {
  constructor(readonly incidentId: string) {
    super();
  }
}

/** The newest first. */
export class ListIncidents extends Query<Page<Incident>> {
  constructor(readonly filter: ListFilter) {
    super();
  }
}

@QueryHandler(FindIncident)
export class FindIncidentHandler implements IQueryHandler<FindIncident> {
  constructor(private readonly database: Database) {}

  async execute({ incidentId }: FindIncident): Promise<Incident> {
    const rows = await this.database.sql<IncidentRow>(`select ${incidentColumns} from incidents where id = $1`, [
      incidentId,
    ]);
    const [view] = await viewsOf(this.database, rows);
    if (view === undefined) throw new NotFound('incident', incidentId);
    return view;
  }
}

@QueryHandler(ListIncidents)
export class ListIncidentsHandler implements IQueryHandler<ListIncidents> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ListIncidents): Promise<Page<Incident>> {
    const rows = await this.database.sql<IncidentRow>(
      `select ${incidentColumns} from incidents
       where team_id = $1 and ($2::text[] is null or project_id = any($2)) and ($3::text is null or project_id = $3)
         and ($4::text is null or state = $4) and ($5::text is null or id < $5 collate "C")
       order by id desc limit $6`,
      [
        filter.teamId,
        filter.visible === 'all' ? null : filter.visible,
        filter.projectId ?? null,
        filter.state ?? null,
        filter.cursor === undefined ? null : String(decodeCursor(filter.cursor, 1)[0]),
        filter.limit + 1,
      ],
    );
    const views = new Map((await viewsOf(this.database, rows)).map((view) => [view.id, view]));
    return pageOf(rows, filter.limit, ({ id }) => views.get(id) as Incident);
  }
}

async function viewsOf(database: Database, rows: readonly IncidentRow[]): Promise<Incident[]> {
  const wanted = [...new Set(rows.flatMap(({ landings }) => landings))];
  const landings = new Map(
    (await database.sql<LandingRow>(`select ${landingColumns} from landings where id = any($1::text[])`, [wanted])).map(
      (row) => [row.id, row],
    ),
  );
  const reverts = new Map(
    (
      await database.sql<SubmissionRow>(
        `select distinct on (reverts_landing_id) ${submissionColumns} from submissions
         where reverts_landing_id = any($1::text[]) order by reverts_landing_id, id desc`,
        [wanted],
      )
    ).map((row) => [row.reverts_landing_id, row]),
  );
  return rows.map((row) => ({
    id: row.id,
    projectId: row.project_id,
    branch: row.branch,
    state: row.state,
    cause: row.cause,
    reason: row.reason,
    requestedBy: row.requested_by,
    landings: row.landings.flatMap((id) => {
      const landing = landings.get(id);
      if (landing === undefined) return [];
      const revert = reverts.get(id);
      return [
        {
          landingId: id,
          commit: landing.commit,
          subject: subjectOf(landing.message),
          taskId: landing.task_id,
          state: landing.state,
          skipped: row.skipped.includes(id),
          postLanding: landing.post_landing,
          postVerificationId: landing.post_verification_id,
          revert:
            revert === undefined
              ? null
              : {
                  submissionId: revert.id,
                  state: revert.state,
                  conflicts: revert.conflicts,
                  reasons: revert.reasons,
                  landingId: revert.landing_id,
                },
          followUpTaskId: landing.follow_up_task_id,
        },
      ];
    }),
    forecast: row.forecast,
    openedAt: row.opened_at,
    resolvedAt: row.resolved_at,
  }));
}
