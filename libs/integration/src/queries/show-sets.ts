import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { SetView } from '@muster/contracts';
import { decodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { memberSubmission, setColumns, type SetRow } from '../domain/set.ts';
import { NotFound } from '../integration.errors.ts';
import { type ListFilter, pageOf } from './list-submissions.ts';

export class FindSet extends Query<SetView> {
  constructor(readonly setId: string) {
    super();
  }
}

/** The newest first. Who sees some projects only sees the sets that hold nothing else. */
export class ListSets extends Query<Page<SetView>> {
  constructor(readonly filter: Omit<ListFilter, 'taskId'>) {
    super();
  }
}

type FoundRow = SetRow & { readonly rolled_back_by: string | null };
type Member = SetView['members'][number];
const foundColumns = `${setColumns},
  (select r.id from landing_sets r where r.reverts_set_id = landing_sets.id and r.state = 'landed') as rolled_back_by`;

@QueryHandler(FindSet)
export class FindSetHandler implements IQueryHandler<FindSet> {
  constructor(private readonly database: Database) {}

  async execute({ setId }: FindSet): Promise<SetView> {
    const rows = await this.database.sql<FoundRow>(`select ${foundColumns} from landing_sets where id = $1`, [setId]);
    const [view] = await viewsOf(this.database, rows);
    if (view === undefined) throw new NotFound('set', setId);
    return view;
  }
}

@QueryHandler(ListSets)
export class ListSetsHandler implements IQueryHandler<ListSets> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ListSets): Promise<Page<SetView>> {
    const rows = await this.database.sql<FoundRow>(
      `select ${foundColumns} from landing_sets
       where team_id = $1 and ($3::text is null or state = $3) and ($5::text is null or id < $5 collate "C")
         and ($2::text[] is null or not exists (
           select 1 from landing_set_members m where m.set_id = landing_sets.id and m.project_id <> all ($2)))
         and ($4::text is null or exists (
           select 1 from landing_set_members m where m.set_id = landing_sets.id and m.project_id = $4))
       order by id desc limit $6`,
      [
        filter.teamId,
        filter.visible === 'all' ? null : filter.visible,
        filter.state ?? null,
        filter.projectId ?? null,
        filter.cursor === undefined ? null : String(decodeCursor(filter.cursor, 1)[0]),
        filter.limit + 1,
      ],
    );
    const views = new Map((await viewsOf(this.database, rows)).map((view) => [view.id, view]));
    return pageOf(rows, filter.limit, ({ id }) => views.get(id) as SetView);
  }
}

async function viewsOf(database: Database, rows: readonly FoundRow[]): Promise<SetView[]> {
  const members = await database.sql<Member & { setId: string }>(
    `select m.set_id as "setId", m.project_id as "projectId", coalesce(m.task_id, s.task_id) as "taskId", s.branch, s.id as "submissionId",
       s.state, s.landing_id as "landingId"
     from landing_set_members m left join submissions s on s.id = ${memberSubmission}
     where m.set_id = any($1) order by m.set_id, m.project_id`,
    [rows.map(({ id }) => id)],
  );
  const bySet = Map.groupBy(members, ({ setId }) => setId);
  return rows.map((row) => ({
    id: row.id,
    title: row.title,
    kind: row.kind,
    state: row.state,
    members: (bySet.get(row.id) ?? []).map(({ setId: _, ...member }) => member),
    reasons: row.reasons,
    revertsSetId: row.reverts_set_id,
    rolledBackBySetId: row.rolled_back_by,
    createdAt: row.created_at,
    settledAt: row.settled_at,
  }));
}
