import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import type { LandingView } from '@muster/contracts';
import { FindLanding } from '#messages/integration';
import { Database } from '#platform/database';
import { landingColumns, type LandingRow, landingViewOf } from '../domain/landing.ts';

@QueryHandler(FindLanding)
export class FindLandingHandler implements IQueryHandler<FindLanding> {
  constructor(private readonly database: Database) {}

  async execute({ landingId }: FindLanding): Promise<LandingView | null> {
    const [row] = await this.database.sql<LandingRow>(`select ${landingColumns} from landings where id = $1`, [
      landingId,
    ]);
    return row === undefined ? null : landingViewOf(row);
  }
}
