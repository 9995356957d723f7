import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import type { RollbackForecast } from '@muster/contracts';
import { ForecastConflicts } from '#messages/integration';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { landingColumns, type LandingRow } from '../domain/landing.ts';
import { NotFound } from '../integration.errors.ts';

/** Later landings that are looked at; who stands behind more than these is too old to come out unseen. */
const MOST_LATER = 200;

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
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
  ) {}

  async execute({ landingId }: ForecastRollback): Promise<RollbackForecast> {
    const [landing] = await this.database.sql<LandingRow>(`select ${landingColumns} from landings where id = $1`, [
      landingId,
    ]);
    if (landing === undefined) throw new NotFound('landing', landingId);
    const { project_id: projectId, state } = landing;
    const none = { landingId, state, clean: false, nothingLeft: false, conflicts: [], dependents: [], openWork: [] };
    const paths = await this.changedBy(projectId, landing);
    const head = await this.repositories.resolve(projectId, `refs/heads/${landing.branch}`);
    if (head === null || state !== 'landed') return { ...none, paths, nothingLeft: state === 'rolled_back' };
    const reverted = await this.repositories.revertTree(projectId, head, landing.commit, landing.before);
    const nothingLeft = reverted.clean && reverted.tree === (await this.repositories.treeOf(projectId, head));
    const { touching: openWork } = await this.queries.execute(new ForecastConflicts(projectId, paths));
    return {
      ...none,
      paths,
      clean: reverted.clean,
      nothingLeft,
      conflicts: reverted.clean ? [] : reverted.conflicts,
      dependents: await this.dependents(landing, new Set(paths)),
      openWork,
    };
  }

  private async dependents(landing: LandingRow, paths: ReadonlySet<string>): Promise<RollbackForecast['dependents']> {
    const later = await this.database.sql<LandingRow>(
      `select ${landingColumns} from landings
       where project_id = $1 and branch = $2 and state = 'landed' and id <> $3
         and landings.landed_at >= (select o.landed_at from landings o where o.id = $3)
       order by landings.landed_at, id limit ${MOST_LATER}`,
      [landing.project_id, landing.branch, landing.id],
    );
    const dependents: RollbackForecast['dependents'] = [];
    for (const row of later) {
      const shared = (await this.changedBy(row.project_id, row)).filter((path) => paths.has(path));
      if (shared.length > 0)
        dependents.push({ landingId: row.id, taskId: row.task_id, commit: row.commit, paths: shared });
    }
    return dependents;
  }

  private async changedBy(projectId: string, { before, commit }: LandingRow): Promise<string[]> {
    return (await this.repositories.diffFiles(projectId, before, commit)).map(({ path }) => path);
  }
}
