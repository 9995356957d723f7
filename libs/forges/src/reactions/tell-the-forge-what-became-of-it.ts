import { QueryBus } from '@nestjs/cqrs';
import type { CloudEvent, SubmissionView } from '@muster/contracts';
import { FindLanding, FindSubmission } from '#messages/integration';
import { ListRemotes } from '#messages/projects';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Reaction, type Reacts } from '#platform/eventlog';
import { Rounds } from '#platform/rounds';
import { FORGE_STATUSES } from '../commands/send-statuses.ts';
import type { Status } from '../domain/forge.ts';
import { statusesOf } from '../domain/statuses-of.ts';

interface Reported {
  readonly id: string;
  readonly statuses: boolean;
  readonly checks: boolean;
}

/**
 * Writes down what the forge is to show beside commits that it knows: those that came from there, and those that were pushed there. It
 * says what is so now, whatever the event was about, so that events may come twice and in any order.
 */
@Reaction({
  name: 'tell-the-forge-what-became-of-it',
  types: [
    'submission.*',
    'queue.*',
    'landing.landed',
    'landing.rolled_back',
    'project.remote_in_step',
    'forge.request_taken',
  ],
})
export class TellTheForgeWhatBecameOfIt implements Reacts {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly config: Config,
    private readonly rounds: Rounds,
  ) {}

  async react({ type, subject, projectid, data }: CloudEvent): Promise<void> {
    const [forge] = await this.database.sql<Reported>(
      `select id, statuses, checks from forges where project_id = $1 and (statuses or checks)`,
      [projectid],
    );
    if (forge === undefined) return;
    if (type === 'project.remote_in_step') return await this.inStep(forge, data);
    const landing = type.startsWith('landing.') ? await this.queries.execute(new FindLanding(subject ?? '')) : null;
    const submissionId = landing?.submissionId ?? subject ?? '';
    const [known] = await this.database.sql(
      `select submission_id from forge_submissions where submission_id = $1 and forge_id = $2`,
      [submissionId, forge.id],
    );
    const submission = await this.queries.execute(new FindSubmission(submissionId));
    if (submission === null) return;
    if (known !== undefined && !(await this.isReplaced(forge.id, submission))) await this.want(forge, submission);
    if (landing !== null && (await this.isPushed(landing.projectId))) {
      const state = landing.rolledBackBy === null ? 'success' : 'failure';
      const description = state === 'success' ? 'Verified and landed' : 'Was taken back';
      const status: Status = { context: 'muster/landing', state, description, url: this.url(submission.id) };
      await this.write(forge, landing.commit, [status], submission);
    }
  }

  private async inStep(forge: Reported, { direction, submissionId }: CloudEvent['data']): Promise<void> {
    if (direction === 'to') {
      // What has been pushed is known there from now on.
      await this.database.sql(
        `update forge_statuses set next_action_at = muster_now() where forge_id = $1 and sent < wanted and next_action_at is not null`,
        [forge.id],
      );
      this.rounds.soon(FORGE_STATUSES);
      return;
    }
    const submission =
      typeof submissionId === 'string' ? await this.queries.execute(new FindSubmission(submissionId)) : null;
    if (submission === null) return;
    await this.database.sql(
      `insert into forge_submissions (submission_id, forge_id) values ($1, $2) on conflict (submission_id) do update set forge_id = excluded.forge_id`,
      [submission.id, forge.id],
    );
    await this.want(forge, (await this.queries.execute(new FindSubmission(submission.id))) ?? submission);
  }

  /** The same commit was handed in again, and that speaks for it now. */
  private async isReplaced(forgeId: string, { id, commit }: SubmissionView): Promise<boolean> {
    const later = await this.database.sql(
      `select id from forge_requests where forge_id = $1 and handed_in = $2 and submission_id > $3 collate "C"`,
      [forgeId, commit, id],
    );
    return later.length > 0;
  }

  private async isPushed(projectId: string): Promise<boolean> {
    return (await this.queries.execute(new ListRemotes(projectId))).some(({ direction }) => direction === 'to');
  }

  private url(submissionId: string): string {
    return `${this.config.publicUrl}/api/submissions/${submissionId}`;
  }

  private async want(forge: Reported, submission: SubmissionView): Promise<void> {
    await this.write(forge, submission.commit, statusesOf(submission, this.url(submission.id)), submission);
  }

  private async write(
    { id, statuses, checks }: Reported,
    commit: string,
    wanted: readonly Status[],
    submission: SubmissionView,
  ): Promise<void> {
    const kinds = [...(statuses ? ['status'] : []), ...(checks ? ['check'] : [])];
    await this.database.transaction(async (tx) => {
      for (const { context, state, description, url } of wanted)
        await tx.sql(
          `insert into forge_statuses as s (forge_id, commit, context, kind, state, description, url, external_id, verification_id)
           select $1, $2, $3, kind, $5, $6, $7, case kind when 'check' then $8 end, case kind when 'check' then $9 end
           from unnest($4::text[]) kind
           on conflict (forge_id, commit, context, kind) do update set state = excluded.state, description = excluded.description,
             url = excluded.url, external_id = excluded.external_id, verification_id = excluded.verification_id,
             wanted = s.wanted + 1, failures = 0, problem = null, next_action_at = muster_now()
           where (s.state, s.description, s.url, s.external_id, s.verification_id)
             is distinct from (excluded.state, excluded.description, excluded.url, excluded.external_id, excluded.verification_id)`,
          [id, commit, context, kinds, state, description, url, submission.id, findingsOf(context, state, submission)],
        );
    });
    this.rounds.soon(FORGE_STATUSES);
  }
}

/** Whose findings a check run shows: those of the verification that says so, once it has said it. */
const findingsOf = (context: string, state: Status['state'], { verificationId }: SubmissionView): string | null =>
  context === 'muster/verification' && state !== 'pending' ? verificationId : null;
