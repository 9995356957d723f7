import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { ConflictHunk, Incident, RollbackForecast } from '@muster/contracts';
import { ForecastConflicts } from '#messages/integration';
import { Clock } from '#kernel';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { MUSTER } from './domain/commit-message.ts';
import { landingColumns, type LandingRow } from './domain/landing.ts';

/** Later landings that are looked at; who stands behind more than these is too old to come out unseen. */
const MOST_LATER = 200;

export interface Outlook {
  readonly paths: string[];
  readonly clean: boolean;
  /** Nothing of them is on the branch any more. */
  readonly nothingLeft: boolean;
  readonly conflicts: ConflictHunk[];
  readonly dependents: RollbackForecast['dependents'];
  readonly openWork: RollbackForecast['openWork'];
}

/** What taking landings back would mean: what stands in the way, and what may stand on them. Moves nothing. */
@Injectable()
export class RollbackOutlook {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly clock: Clock,
  ) {}

  /** @param landings of one branch, in the order in which they come out */
  async of(landings: readonly LandingRow[], head: string): Promise<Outlook> {
    const [first] = landings;
    if (first === undefined) throw new Error('Nothing is to come out.');
    const { project_id: projectId } = first;
    const headTree = await this.repositories.treeOf(projectId, head);
    const conflicts: ConflictHunk[] = [];
    const paths = new Set<string>();
    let on = head;
    let tree = headTree;
    for (const landing of landings) {
      for (const path of await this.changedBy(landing)) paths.add(path);
      const reverted = await this.repositories.revertTree(projectId, on, landing.commit, landing.before);
      if (!reverted.clean) {
        conflicts.push(...reverted.conflicts);
        continue;
      }
      tree = reverted.tree;
      // As if it were out already: an object that no ref names.
      on = await this.repositories.commitTree(projectId, {
        tree,
        parents: [on],
        message: `Without ${landing.id}`,
        author: MUSTER,
        committer: MUSTER,
        date: this.clock.now(),
      });
    }
    const { touching: openWork } = await this.queries.execute(new ForecastConflicts(projectId, [...paths]));
    return {
      paths: [...paths].sort(),
      clean: conflicts.length === 0,
      nothingLeft: conflicts.length === 0 && tree === headTree,
      conflicts,
      dependents: await this.dependents(landings, paths),
      openWork,
    };
  }

  /** What an incident keeps of it. */
  kept({ paths, conflicts, dependents, openWork }: Outlook): Incident['forecast'] {
    return { paths, conflicts: [...new Set(conflicts.map(({ path }) => path))], dependents, openWork };
  }

  async changedBy({ project_id: projectId, before, commit }: LandingRow): Promise<string[]> {
    return (await this.repositories.diffFiles(projectId, before, commit)).map(({ path }) => path);
  }

  private async dependents(
    landings: readonly LandingRow[],
    paths: ReadonlySet<string>,
  ): Promise<RollbackForecast['dependents']> {
    const [first] = landings;
    const later = await this.database.sql<LandingRow>(
      `select ${landingColumns} from landings
       where project_id = $1 and branch = $2 and state = 'landed' and id <> all($3::text[])
         and landings.landed_at >= (select min(o.landed_at) from landings o where o.id = any($3::text[]))
       order by landings.landed_at, id limit ${MOST_LATER}`,
      [first?.project_id, first?.branch, landings.map(({ id }) => id)],
    );
    const dependents: RollbackForecast['dependents'] = [];
    for (const row of later) {
      const shared = (await this.changedBy(row)).filter((path) => paths.has(path));
      if (shared.length > 0)
        dependents.push({ landingId: row.id, taskId: row.task_id, commit: row.commit, paths: shared });
    }
    return dependents;
  }
}
