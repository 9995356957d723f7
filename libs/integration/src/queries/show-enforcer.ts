import { type IQueryHandler, Query, QueryBus, QueryHandler } from '@nestjs/cqrs';
import type { EnforcerView } from '@muster/contracts';
import { FindProject, ReadPolicy } from '#messages/projects';
import { Database } from '#platform/database';
import { AgentRecords } from '../agent-records.ts';
import { NotFound } from '../integration.errors.ts';

/** Agents that handed something in among so many of the newest submissions. */
const SUBMISSIONS_LOOKED_AT = 1000;
const MOST_HELD = 200;

/** What the project insists on by the rules of what has landed, and who stays below it now. */
export class ShowEnforcer extends Query<EnforcerView> {
  constructor(readonly projectId: string) {
    super();
  }
}

@QueryHandler(ShowEnforcer)
export class ShowEnforcerHandler implements IQueryHandler<ShowEnforcer> {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly records: AgentRecords,
  ) {}

  async execute({ projectId }: ShowEnforcer): Promise<EnforcerView> {
    if ((await this.queries.execute(new FindProject(projectId))) === null) throw new NotFound('project', projectId);
    const { policy } = await this.queries.execute(new ReadPolicy(projectId));
    const seen = await this.database.sql<{ agent: string }>(
      `select distinct agent from (select agent from submissions where project_id = $1 order by id desc limit $2) newest
       where agent is not null order by agent limit 100`,
      [projectId, SUBMISSIONS_LOOKED_AT],
    );
    const agents = [];
    for (const { agent } of seen) agents.push(await this.records.of(projectId, agent, policy));
    const held = await this.database.sql<{ id: string }>(
      `select id from submissions where project_id = $1 and held = 'review' and review_needs @> '[{"because": "enforcer"}]'
       order by id limit $2`,
      [projectId, MOST_HELD],
    );
    return {
      projectId,
      rules: { ...policy.enforcer, changedLines: policy.coverage.changedLines },
      agents: agents.sort((a, b) => (a.percent ?? 100) - (b.percent ?? 100) || (a.agent < b.agent ? -1 : 1)),
      held: held.map(({ id }) => id),
    };
  }
}
