import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { SetView } from '@muster/contracts';
import { Database } from '#platform/database';
import { memberSubmission, setColumns, type SetRow } from '../domain/set.ts';
import { NotFound } from '../integration.errors.ts';

export class FindSet extends Query<SetView> {
  constructor(readonly setId: string) {
    super();
  }
}

@QueryHandler(FindSet)
export class FindSetHandler implements IQueryHandler<FindSet> {
  constructor(private readonly database: Database) {}

  async execute({ setId }: FindSet): Promise<SetView> {
    const [row] = await this.database.sql<SetRow & { rolled_back_by: string | null }>(
      `select ${setColumns}, (select r.id from landing_sets r where r.reverts_set_id = landing_sets.id and r.state = 'landed') as rolled_back_by
       from landing_sets where id = $1`,
      [setId],
    );
    if (row === undefined) throw new NotFound('set', setId);
    const members = await this.database.sql<SetView['members'][number]>(
      `select m.project_id as "projectId", coalesce(m.task_id, s.task_id) as "taskId", s.branch, s.id as "submissionId", s.state,
         s.landing_id as "landingId"
       from landing_set_members m left join submissions s on s.id = ${memberSubmission}
       where m.set_id = $1 order by m.project_id`,
      [setId],
    );
    return {
      id: row.id,
      title: row.title,
      kind: row.kind,
      state: row.state,
      members,
      reasons: row.reasons,
      revertsSetId: row.reverts_set_id,
      rolledBackBySetId: row.rolled_back_by,
      createdAt: row.created_at,
      settledAt: row.settled_at,
    };
  }
}
