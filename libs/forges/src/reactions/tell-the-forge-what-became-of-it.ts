import { QueryBus } from '@nestjs/cqrs';
import type { CloudEvent, SubmissionView } from '@muster/contracts';
import { FindLanding, FindSubmission } from '#messages/integration';
import { ListRemotes } from '#messages/projects';
import type { Tx } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import type { Status } from '../domain/forge.ts';
import { statusesOf } from '../domain/statuses-of.ts';

/**
 * Writes down what the forge is to show beside commits that it knows: those that came from there, and those that were pushed there. It
 * says what is so now, whatever the event was about, so that events may come twice and in any order.
 */
@Reaction({
  name: 'tell-the-forge-what-became-of-it',
  types: ['submission.*', 'queue.*', 'landing.landed', 'landing.rolled_back', 'project.remote_in_step'],
})
export class TellTheForgeWhatBecameOfIt implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly config: Config,
  ) {}

  async react({ type, subject, projectid, data }: CloudEvent): Promise<void> {
    const [forge] = await this.database.sql<{ id: string }>(
      `select id from forges where project_id = $1 and statuses`,
      [projectid],
    );
    if (forge === undefined) return;
    if (type === 'project.remote_in_step') return await this.inStep(forge.id, data);
    const landing = type.startsWith('landing.') ? await this.queries.execute(new FindLanding(subject ?? '')) : null;
    const submissionId = landing?.submissionId ?? subject ?? '';
    const [known] = await this.database.sql(
      `select submission_id from forge_submissions where submission_id = $1 and forge_id = $2`,
      [submissionId, forge.id],
    );
    const submission = await this.queries.execute(new FindSubmission(submissionId));
    if (submission === null) return;
    if (known !== undefined) await this.want(forge.id, submission.commit, submission);
    if (landing !== null && (await this.isPushed(landing.projectId))) {
      const state = landing.rolledBackBy === null ? 'success' : 'failure';
      const description = state === 'success' ? 'Verified and landed' : 'Was taken back';
      const status: Status = { context: 'muster/landing', state, description, url: this.url(submission.id) };
      await this.database.transaction((tx) => this.write(tx, forge.id, landing.commit, [status]));
    }
  }

  private async inStep(forgeId: string, { direction, submissionId }: CloudEvent['data']): Promise<void> {
    if (direction === 'to') {
      // What has been pushed is known there from now on.
      await this.database.sql(
        `update forge_statuses set next_action_at = muster_now() where forge_id = $1 and sent < wanted and next_action_at is not null`,
        [forgeId],
      );
      return;
    }
    const submission =
      typeof submissionId === 'string' ? await this.queries.execute(new FindSubmission(submissionId)) : null;
    if (submission === null) return;
    await this.database.sql(
      `insert into forge_submissions (submission_id, forge_id) values ($1, $2) on conflict (submission_id) do update set forge_id = excluded.forge_id`,
      [submission.id, forgeId],
    );
    await this.want(
      forgeId,
      submission.commit,
      (await this.queries.execute(new FindSubmission(submission.id))) ?? submission,
    );
  }

  private async isPushed(projectId: string): Promise<boolean> {
    return (await this.queries.execute(new ListRemotes(projectId))).some(({ direction }) => direction === 'to');
  }

  private url(submissionId: string): string {
    return `${this.config.publicUrl}/api/submissions/${submissionId}`;
  }

  private async want(forgeId: string, commit: string, submission: SubmissionView): Promise<void> {
    await this.database.transaction((tx) =>
      this.write(tx, forgeId, commit, statusesOf(submission, this.url(submission.id))),
    );
  }

  private async write(tx: Tx, forgeId: string, commit: string, statuses: readonly Status[]): Promise<void> {
    for (const { context, state, description, url } of statuses)
      await tx.sql(
        `insert into forge_statuses as s (forge_id, commit, context, state, description, url) values ($1, $2, $3, $4, $5, $6)
         on conflict (forge_id, commit, context) do update set state = excluded.state, description = excluded.description, url = excluded.url,
           wanted = s.wanted + 1, failures = 0, problem = null, next_action_at = muster_now()
         where (s.state, s.description, s.url) is distinct from (excluded.state, excluded.description, excluded.url)`,
        [forgeId, commit, context, state, description, url],
      );
  }
}
