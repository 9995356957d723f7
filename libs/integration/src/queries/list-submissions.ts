import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { SubmissionView } from '@muster/contracts';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { submissionColumns, type SubmissionRow, submissionViewOf } from '../domain/submission.ts';

export interface ListFilter {
  readonly teamId: string;
  /** The projects that the caller may see. */
  readonly visible: readonly string[] | 'all';
  readonly projectId?: string | undefined;
  readonly state?: string | undefined;
  readonly taskId?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** The newest first. */
export class ListSubmissions extends Query<Page<SubmissionView>> {
  constructor(readonly filter: ListFilter) {
    super();
  }
}

@QueryHandler(ListSubmissions)
export class ListSubmissionsHandler implements IQueryHandler<ListSubmissions> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ListSubmissions): Promise<Page<SubmissionView>> {
    const rows = await this.database.sql<SubmissionRow>(
      `select ${submissionColumns} from submissions where ${listCondition} order by id desc limit $7`,
      listParameters(filter),
    );
    return pageOf(rows, filter.limit, submissionViewOf);
  }
}

export const listCondition = `team_id = $1 and ($2::text[] is null or project_id = any($2)) and ($3::text is null or project_id = $3)
  and ($4::text is null or state = $4) and ($5::text is null or task_id = $5) and ($6::text is null or id < $6 collate "C")`;

export const listParameters = (filter: ListFilter): unknown[] => [
  filter.teamId,
  filter.visible === 'all' ? null : filter.visible,
  filter.projectId ?? null,
  filter.state ?? null,
  filter.taskId ?? null,
  filter.cursor === undefined ? null : String(decodeCursor(filter.cursor, 1)[0]),
  filter.limit + 1,
];

/** One row more than asked for says that there is a next page. */
export function pageOf<Row extends { readonly id: string }, View>(
  rows: readonly Row[],
  limit: number,
  view: (row: Row) => View,
): Page<View> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(view),
    nextCursor: rows.length > limit && last !== undefined ? encodeCursor([last.id]) : null,
  };
}
