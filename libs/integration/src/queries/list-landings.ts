import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { LandingView } from '@muster/contracts';
import type { Page } from '#kernel';
import { Database } from '#platform/database';
import { landingColumns, type LandingRow, landingViewOf } from '../domain/landing.ts';
import { listCondition, type ListFilter, listParameters, pageOf } from './list-submissions.ts';

/** The newest first. */
export class ListLandings extends Query<Page<LandingView>> {
  constructor(readonly filter: ListFilter) {
    super();
  }
}

@QueryHandler(ListLandings)
export class ListLandingsHandler implements IQueryHandler<ListLandings> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ListLandings): Promise<Page<LandingView>> {
    const rows = await this.database.sql<LandingRow>(
      `select ${landingColumns} from landings where ${listCondition} order by id desc limit $7`,
      listParameters(filter),
    );
    return pageOf(rows, filter.limit, landingViewOf);
  }
}
