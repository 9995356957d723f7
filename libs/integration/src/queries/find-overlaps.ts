import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import type { Overlap } from '@muster/contracts';
import picomatch from 'picomatch';
import { FindOverlaps } from '#messages/integration';
import { Database } from '#platform/database';
import { TouchedFiles } from '../touched-files.ts';

/** As many as a forecast compares. */
const MOST_CHANGES = 200;
const MOST_PATHS = 20;

interface Open {
  readonly id: string;
  readonly task_id: string | null;
  readonly base: string;
  readonly commit: string;
}

@QueryHandler(FindOverlaps)
export class FindOverlapsHandler implements IQueryHandler<FindOverlaps> {
  constructor(
    private readonly database: Database,
    private readonly files: TouchedFiles,
  ) {}

  async execute({ projectId, taskId, paths }: FindOverlaps): Promise<Overlap[]> {
    if (paths.length === 0) return [];
    const open = await this.database.sql<Open>(
      `select id, task_id, base, commit from submissions
       where project_id = $1 and task_id is distinct from $2 and state in ('received', 'verifying', 'queued', 'landing')
       order by id limit ${MOST_CHANGES}`,
      [projectId, taskId],
    );
    const isInside = picomatch([...paths], { dot: true });
    // A name may hold signs that mean something in globs.
    const named = new Set(paths);
    const overlaps: Overlap[] = [];
    for (const one of open) {
      const touched = [...(await this.files.of(projectId, one)).paths];
      const common = touched.filter((path) => named.has(path) || isInside(path)).slice(0, MOST_PATHS);
      if (common.length > 0) overlaps.push({ submissionId: one.id, taskId: one.task_id, paths: common });
    }
    return overlaps;
  }
}
