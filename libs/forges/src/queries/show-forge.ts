import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ForgeView } from '@muster/contracts';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { accountOf, forgeColumns, type ForgeCounts, type ForgeRow, forgeViewOf } from '../domain/forge-row.ts';
import { NoForge } from '../forges.errors.ts';

export class ShowForge extends Query<ForgeView> {
  constructor(readonly projectId: string) {
    super();
  }
}

@QueryHandler(ShowForge)
export class ShowForgeHandler implements IQueryHandler<ShowForge> {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
  ) {}

  async execute({ projectId }: ShowForge): Promise<ForgeView> {
    const [row] = await this.database.sql<ForgeRow & ForgeCounts>(
      `select ${forgeColumns},
         (select count(*)::int from forge_statuses s where s.forge_id = forges.id and s.sent < s.wanted) as owed,
         (select s.problem from forge_statuses s where s.forge_id = forges.id and s.sent < s.wanted and s.problem is not null
          order by s.failures desc, s.commit, s.context limit 1) as problem,
         (select count(*)::int from forge_requests r where r.forge_id = forges.id and r.state = 'open') as open_requests,
         (select count(*)::int from forge_requests r where r.forge_id = forges.id and r.problem is not null) as failing_requests
       from forges where project_id = $1`,
      [projectId],
    );
    if (row === undefined) throw new NoForge();
    return forgeViewOf(row, accountOf(this.config.forges, row)?.kind ?? null, this.config.publicUrl);
  }
}
