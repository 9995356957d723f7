import { QueryBus } from '@nestjs/cqrs';
import type { CloudEvent } from '@muster/contracts';
import { FindLanding, FindSubmission } from '#messages/integration';
import { Ids } from '#kernel';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { Rounds } from '#platform/rounds';
import { FORGE_REQUESTS } from '../commands/look-at-requests.ts';

/** It is only called due: a look asks the forge, and events wait for nobody's network. */
@Reaction({
  name: 'look-when-something-became-of-a-request',
  types: [
    'submission.*',
    'queue.*',
    'landing.landed',
    'landing.rolled_back',
    'project.remote_in_step',
    'task.failed',
    'task.cancelled',
  ],
})
export class LookWhenSomethingBecameOfARequest implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly rounds: Rounds,
    private readonly ids: Ids,
  ) {}

  async react({ type, subject, projectid, data }: CloudEvent): Promise<void> {
    if (type === 'project.remote_in_step') {
      // What has landed of these can be seen there now.
      if (data['direction'] === 'to') await this.due(`r.project_id = $1 and r.state = 'open'`, projectid ?? null);
      return;
    }
    if (type.startsWith('task.')) return await this.due('r.task_id = $1', subject ?? null);
    if (type === 'submission.accepted') await this.offer(subject ?? '', projectid ?? '');
    const landing = type.startsWith('landing.') ? await this.queries.execute(new FindLanding(subject ?? '')) : null;
    await this.due('r.submission_id = $1', landing?.submissionId ?? subject ?? null);
  }

  /** What was accepted is shown there, where the project wants that; the next try of a task in the request of the one before. */
  private async offer(submissionId: string, projectId: string): Promise<void> {
    const [forge] = await this.database.sql<{ id: string; team_id: string }>(
      `select id, team_id from forges where project_id = $1 and (requests ->> 'out')::boolean`,
      [projectId],
    );
    const submission = forge === undefined ? null : await this.queries.execute(new FindSubmission(submissionId));
    if (forge === undefined || submission === null || submission.kind !== 'change') return;
    // What came from there, and what a robot pushes, is nobody's work here.
    if (submission.taskId === null && submission.approvedBy === null) return;
    const subject = submission.taskId ?? submission.id;
    await this.database.sql(
      `insert into forge_requests as r (id, forge_id, project_id, team_id, direction, subject, task_id, branch, submission_id)
       values ($1, $2, $3, $4, 'out', $5, $6, $7, $8)
       on conflict (forge_id, subject) do update set submission_id = excluded.submission_id
       where r.submission_id < excluded.submission_id collate "C"`,
      [
        this.ids.next('forgeRequest'), forge.id, projectId, forge.team_id, subject, submission.taskId, `muster/${subject}`, submission.id,
      ], // prettier-ignore
    );
  }

  private async due(which: string, of: string | null): Promise<void> {
    const rows = await this.database.sql(
      `update forge_requests r set wanted = wanted + 1, failures = 0, next_action_at = muster_now() where ${which} returning id`,
      [of],
    );
    if (rows.length > 0) this.rounds.soon(FORGE_REQUESTS);
  }
}
