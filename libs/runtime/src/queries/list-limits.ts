import type { LimitView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { limitViewOf } from '../domain/limit-view.ts';
import { listLimits } from '../sql/limits.ts';

/** The limits of a team with what is used of them, the widest first; a team has few. */
export class ListLimits extends Query<LimitView[]> {
  constructor(
    readonly teamId: string,
    /** Those that hold for these projects, with the ones for all. */
    readonly projectIds: readonly string[] | 'all',
  ) {
    super();
  }
}

@QueryHandler(ListLimits)
export class ListLimitsHandler implements IQueryHandler<ListLimits> {
  constructor(private readonly database: Database) {}

  async execute({ teamId, projectIds }: ListLimits): Promise<LimitView[]> {
    const rows = await listLimits(this.database, teamId, projectIds === 'all' ? null : projectIds);
    return rows.map(limitViewOf);
  }
}
