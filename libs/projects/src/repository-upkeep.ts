import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { metrics } from '@opentelemetry/api';
import { Clock } from '#kernel';
import { FindLandingUnderWay } from '#messages/integration';
import { FindProject } from '#messages/projects';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { GitFailed, Packing, Repositories, type Stored } from '#platform/git';
import { Rounds } from '#platform/rounds';
import { hasGathered } from './domain/upkeep-rules.ts';

const EVERY_MS = 60_000;
/** Longer than packing may take: who has not written by then is dead. */
const TAKEN_MS = 2 * 3_600_000;
/** A landing is over in less. */
const IN_THE_WAY_MS = 60_000;
/** A full disk is not mended in a minute, and trying costs what others need. */
const FAILED_MS = 3_600_000;

interface Taken {
  readonly project_id: string;
  readonly problem: string | null;
}
interface Outcome {
  readonly found: Stored | null;
  readonly after: Stored | null;
  readonly problem: string | null;
  readonly seconds: number;
  readonly nextMs: number;
}

/**
 * Packs the repositories that have gathered many files: one at a time, on one server at a time, and none in which something is landing.
 * A server that is killed meanwhile leaves an unfinished file, which a later round takes away.
 */
@Injectable()
export class RepositoryUpkeep implements OnApplicationBootstrap {
  private readonly logger = new Logger(RepositoryUpkeep.name);

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly packing: Packing,
    private readonly rounds: Rounds,
    private readonly clock: Clock,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.repositoriesUpkeepMs !== null)
      this.rounds.begin('repository upkeep', EVERY_MS, (signal) => this.round(signal), EVERY_MS);
  }

  /** All that are due, the one that has waited longest first. */
  async round(signal?: AbortSignal): Promise<void> {
    for (let taken = await this.take(); taken !== null; taken = await this.take()) {
      const outcome = await this.keepUp(taken.project_id, signal);
      await this.record(taken, outcome);
      if (signal?.aborted === true) return;
    }
  }

  /** Null: none is due, or another server is at one. */
  private take(): Promise<Taken | null> {
    return this.database.transaction(async (tx) => {
      const [{ got } = { got: false }] = await tx.sql<{ got: boolean }>(
        `select pg_try_advisory_xact_lock(hashtext('repository upkeep')) as got`,
      );
      if (!got) return null;
      const [taken] = await tx.sql<Taken>(
        `update repository_upkeep set taken_until = muster_now() + $1 * interval '1 millisecond',
           next_action_at = muster_now() + $1 * interval '1 millisecond'
         where project_id = (select project_id from repository_upkeep where next_action_at <= muster_now() order by next_action_at, project_id limit 1)
           and not exists (select from repository_upkeep where taken_until > muster_now())
         returning project_id, problem`,
        [TAKEN_MS],
      );
      return taken ?? null;
    });
  }

  private async keepUp(projectId: string, signal?: AbortSignal): Promise<Outcome> {
    const began = this.clock.now().getTime();
    const every = this.config.repositoriesUpkeepMs ?? FAILED_MS;
    let found: Stored | null = null;
    const outcome = (more: Partial<Outcome>): Outcome => ({
      found, after: null, problem: null, seconds: (this.clock.now().getTime() - began) / 1000, nextMs: every, ...more,
    }); // prettier-ignore
    try {
      if (!(await this.repositories.exists(projectId))) return outcome({});
      found = await this.packing.look(projectId);
      if (!hasGathered(found)) return outcome({});
      if (await this.queries.execute(new FindLandingUnderWay(projectId))) return outcome({ nextMs: IN_THE_WAY_MS });
      await this.packing.pack(projectId, signal);
      return outcome({ after: await this.packing.look(projectId) });
    } catch (error) {
      // The server stops, or the project was deleted meanwhile: nothing is wrong.
      if (signal?.aborted === true) return outcome({ nextMs: 0 });
      this.logger.error(`The repository of ${projectId} could not be packed: ${String(error)}`);
      const said = error instanceof GitFailed ? error.stderr.trim() || error.message : String(error);
      return outcome({ problem: said.slice(0, 1000), nextMs: Math.max(FAILED_MS, every) });
    }
  }

  private async record({ project_id: projectId, problem: before }: Taken, outcome: Outcome): Promise<void> {
    const { found, after, problem, seconds, nextMs } = outcome;
    const project = await this.queries.execute(new FindProject(projectId));
    if (after !== null || problem !== null) told(problem === null ? 'packed' : 'failed', seconds);
    const stored = after ?? found;
    await this.database.transaction(async (tx) => {
      const [written] = await tx.sql(
        `update repository_upkeep set taken_until = null, next_action_at = muster_now() + $2 * interval '1 millisecond',
           looked_at = muster_now(), packed_at = case when $3 then muster_now() else packed_at end,
           loose_objects = coalesce($4, loose_objects), packs = coalesce($5, packs), loose_refs = coalesce($6, loose_refs),
           bytes = coalesce($7, bytes), problem = $8
         where project_id = $1 returning project_id`,
        [
          projectId,
          nextMs,
          after !== null,
          stored?.looseObjects ?? null,
          stored?.packs ?? null,
          stored?.looseRefs ?? null,
          stored?.bytes ?? null,
          problem,
        ],
      );
      if (written === undefined || project === null) return;
      const about = { teamId: project.teamId, projectId, subject: projectId };
      if (after !== null)
        tx.append({
          ...about,
          type: 'project.repository_packed',
          priority: 'low',
          data: { projectId, before: found, after, seconds },
        });
      // Once, and again when it has gone well in between.
      if (problem !== null && before === null)
        tx.append({
          ...about,
          type: 'project.repository_upkeep_failing',
          priority: 'high',
          data: { projectId, stored: found, problem },
        });
    });
  }
}

function told(outcome: 'packed' | 'failed', seconds: number): void {
  metrics
    .getMeter('muster')
    .createHistogram('muster.repositories.upkeep.duration', {
      unit: 's',
      description: 'How long packing a repository took, by how it ended.',
      advice: { explicitBucketBoundaries: [0.1, 0.5, 1, 5, 15, 60, 300, 1800] },
    })
    .record(seconds, { outcome });
}
