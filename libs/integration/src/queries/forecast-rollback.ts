import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { RollbackForecast } from '@muster/contracts';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { landingColumns, type LandingRow } from '../domain/landing.ts';
import { NotFound } from '../integration.errors.ts';
import { RollbackOutlook } from '../outlook.ts';

/** Whether a landing comes out by itself, what stands in the way, and what may stand on it. Changes nothing. */
export class ForecastRollback extends Query<RollbackForecast> {
  constructor(readonly landingId: string) {
    super();
  }
}

@QueryHandler(ForecastRollback)
export class ForecastRollbackHandler implements IQueryHandler<ForecastRollback> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
    private readonly outlook: RollbackOutlook,
  ) {}

  async execute({ landingId }: ForecastRollback): Promise<RollbackForecast> {
    const [landing] = await this.database.sql<LandingRow>(`select ${landingColumns} from landings where id = $1`, [
      landingId,
    ]);
    if (landing === undefined) throw new NotFound('landing', landingId);
    const { project_id: projectId, state } = landing;
    const head = await this.repositories.resolve(projectId, `refs/heads/${landing.branch}`);
    if (head !== null && state === 'landed') return { landingId, state, ...(await this.outlook.of([landing], head)) };
    const paths = await this.outlook.changedBy(landing);
    const nothing = { conflicts: [], dependents: [], openWork: [] };
    return { landingId, state, clean: false, paths, nothingLeft: state === 'rolled_back', ...nothing };
  }
}
