import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import type { AgentRecord, ProjectPolicy } from '@muster/contracts';
import { FindTask } from '#messages/runtime';
import { Database } from '#platform/database';

/** Work that is being redone has several submissions; so many of the newest are looked through for each piece of work that counts. */
const SUBMISSIONS_A_PIECE = 4;

interface Ended {
  readonly task_id: string | null;
  readonly state: 'landed' | 'rejected' | 'conflicted';
  readonly rolled_back: boolean;
}

/**
 * How often an agent's work in a project succeeds: of the last pieces of work that have ended, how many landed and stayed. A piece is a
 * task, however often it was redone. What is redone just now, was withdrawn, or could not be verified says nothing.
 */
@Injectable()
export class AgentRecords {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
  ) {}

  async of(projectId: string, agent: string, policy: ProjectPolicy): Promise<AgentRecord> {
    const { percent: least, window, least: before } = policy.enforcer.agentSuccess;
    const rows = await this.database.sql<Ended>(
      `select l.task_id, l.state, coalesce(g.state = 'rolled_back', false) as rolled_back
       from (select id, task_id, state, landing_id, row_number() over (partition by coalesce(task_id, id) order by id desc) as nth
             from (select id, task_id, state, landing_id from submissions
                   where project_id = $1 and agent = $2 and kind = 'change' order by id desc limit $3) newest) l
       left join landings g on g.id = l.landing_id
       where l.nth = 1 and l.state in ('landed', 'rejected', 'conflicted') order by l.id desc`,
      [projectId, agent, window * SUBMISSIONS_A_PIECE],
    );
    let finished = 0;
    let succeeded = 0;
    for (const row of rows) {
      if (finished === window) break;
      const success = row.state === 'landed' ? !row.rolled_back : await this.isLost(row);
      if (success === null) continue;
      finished += 1;
      if (success) succeeded += 1;
    }
    const percent = finished === 0 ? null : Math.round((succeeded / finished) * 1000) / 10;
    const breached = percent !== null && finished >= Math.min(before, window) && percent < least;
    return { agent, finished, succeeded, percent, breached };
  }

  /** Refused for good: false; null while its task still goes on. */
  private async isLost({ task_id: taskId, state }: Ended): Promise<false | null> {
    if (taskId === null) return state === 'rejected' ? false : null;
    return (await this.queries.execute(new FindTask(taskId)))?.state === 'failed' ? false : null;
  }
}
