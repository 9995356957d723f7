import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import type { ConflictForecast } from '@muster/contracts';
import { ForecastConflicts } from '#messages/integration';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { keep } from '../domain/kept.ts';
import { mayConflict, type Touched } from '../domain/overlap.ts';
import { TouchedFiles } from '../touched-files.ts';

/** Open at the same time; more are not compared pair by pair. */
const MOST_CHANGES = 200;
const MERGES_KEPT = 2_000;
/** git runs side by side; more of them only wait for one another. */
const AT_ONCE = 4;

interface Open {
  readonly id: string;
  readonly base: string;
  readonly commit: string;
}

/** Merges the open changes of a project pair by pair, on objects only, and only those pairs that can get into each other's way at all. */
@QueryHandler(ForecastConflicts)
export class ForecastConflictsHandler implements IQueryHandler<ForecastConflicts> {
  /** Two commits merge today as they did yesterday. */
  private readonly merged = new Map<string, readonly string[]>();

  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
    private readonly files: TouchedFiles,
  ) {}

  async execute({ projectId, paths }: ForecastConflicts): Promise<ConflictForecast> {
    const open = await this.database.sql<Open>(
      `select id, base, commit from submissions
       where project_id = $1 and kind = 'change' and state in ('received', 'verifying', 'queued', 'landing') order by id limit ${MOST_CHANGES}`,
      [projectId],
    );
    const touched = new Map<string, Touched>();
    await inTurn(open, async (one) => void touched.set(one.id, await this.files.of(projectId, one)));
    const pairs: [Open, Open][] = [];
    for (const [at, one] of open.entries()) {
      for (const other of open.slice(at + 1)) {
        const [a, b] = [touched.get(one.id), touched.get(other.id)];
        if (a !== undefined && b !== undefined && mayConflict(a, b)) pairs.push([one, other]);
      }
    }
    const conflicts: ConflictForecast['conflicts'] = [];
    await inTurn(pairs, async ([one, other]) => {
      const found = await this.pathsOf(projectId, one.commit, other.commit);
      if (found.length > 0) conflicts.push({ submissions: [one.id, other.id], paths: [...found] });
    });
    conflicts.sort((a, b) => (a.submissions.join() < b.submissions.join() ? -1 : 1));
    const touching = open
      .map(({ id }) => ({ submissionId: id, paths: paths.filter((path) => touched.get(id)?.paths.has(path) === true) }))
      .filter((one) => one.paths.length > 0);
    return { projectId, changes: open.length, pairsMerged: pairs.length, conflicts, touching };
  }

  private async pathsOf(projectId: string, a: string, b: string): Promise<readonly string[]> {
    const key = `${projectId} ${a} ${b}`;
    const known = this.merged.get(key);
    return known ?? keep(this.merged, key, await this.repositories.conflictingPaths(projectId, a, b), MERGES_KEPT);
  }
}

async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}
