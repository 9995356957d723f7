import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { TaskView } from '@muster/contracts';
import { FindTask } from '#messages/runtime';
import { Database } from '#platform/database';
import type { SubmissionRow } from './domain/submission.ts';

/** After this long nobody waits for a rework any more: its agent may be gone. */
const PATIENCE = '1 hour';

/** An agent is at it, or will be as soon as one is free. What waits for a person may wait for days. */
const isUnderWay = ({ state, wait }: TaskView): boolean =>
  state === 'queued' || state === 'running' || (state === 'waiting' && wait?.reason !== 'person');

/**
 * Conflicts are given back one at a time: who would conflict with what is being redone now would be redone for nothing, because it
 * will conflict with that again. So N changes to the same lines cost N reworks and not one for each pair.
 */
@Injectable()
export class OpenConflicts {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
  ) {}

  /** The submission that was given back in these files before and whose rework has not come to its end; null: none. */
  async underWay(row: SubmissionRow, paths: readonly string[]): Promise<string | null> {
    if (row.kind === 'revert' || row.task_id === null) return null;
    // One whose own rework waits as well is nobody to wait for: two would wait for each other.
    const given = await this.database.sql<{ id: string; task_id: string }>(
      `select s.id, s.task_id from submissions s
       where s.project_id = $1 and s.branch = $2 and s.state = 'conflicted' and s.task_id is not null and s.task_id <> $3
         and s.updated_at > muster_now() - interval '${PATIENCE}'
         and exists (select from jsonb_array_elements(s.conflicts) c where c ->> 'path' = any($4::text[]))
         and not exists (select from submissions h where h.task_id = s.task_id and h.held = 'conflict')
       order by s.updated_at, s.id limit 50`,
      [row.project_id, row.branch, row.task_id, paths],
    );
    for (const { id, task_id: taskId } of given) {
      const task = await this.queries.execute(new FindTask(taskId));
      if (task !== null && isUnderWay(task)) return id;
    }
    return null;
  }
}
