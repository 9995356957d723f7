import { Injectable } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { ForgeRequest, LandingView, RemoteView, SubmissionView } from '@muster/contracts';
import { FindLanding, FindSubmission, ReceivePush, WithdrawSubmissions } from '#messages/integration';
import { FetchFromRemote, FindProject, ListRemotes, type ProjectRecord } from '#messages/projects';
import { FindVerification } from '#messages/quality';
import { MusterError } from '#kernel';
import { Config, type ForgeAccount } from '#platform/config';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { ForgeCrashPoints } from '../crash-points.ts';
import type { RequestThere } from '../domain/forge.ts';
import type { ForgeApi } from '../domain/forge-api.ts';
import { forgeOf } from '../domain/forge-row.ts';
import { reasonToSkip } from '../domain/request-admission.ts';
import { commentOf, digestOf } from '../domain/request-comment.ts';
import type { RequestRow } from '../domain/request-row.ts';
import { ForgeAccess } from '../forge-access.ts';
import { ForgeFailed } from '../forges.errors.ts';
import { LandedThere } from '../landed-there.ts';
import { WebhookSecrets } from '../webhook-secrets.ts';

const LOOK_AGAIN_SECONDS = 15;

/** Of these the number is known: they were opened there. */
type IncomingRow = RequestRow & { readonly number: number };

interface Standing {
  readonly state: ForgeRequest['state'];
  readonly why: string | null;
  readonly submission: SubmissionView | null;
  readonly handedIn: string | null;
  readonly round: number;
}

/** One look at a request: what is so there is handed in or taken back here, and what became of it is said there. */
@Injectable()
export class TakeRequest {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly access: ForgeAccess,
    private readonly secrets: WebhookSecrets,
    private readonly config: Config,
    private readonly landed: LandedThere,
    private readonly crash: ForgeCrashPoints,
  ) {}

  /** @returns after how many seconds it should be looked at again; null: when something happens */
  async run(row: IncomingRow, account: ForgeAccount): Promise<number | null> {
    const api = this.access.api(account, row.repository);
    const { requests } = forgeOf(account);
    const project = await this.queries.execute(new FindProject(row.project_id));
    if (project === null) return null;
    const remotes = await this.queries.execute(new ListRemotes(row.project_id));
    const there = await requests.find(api, row.repository, row.number);
    if (there !== null && (await this.isOurs(row, there))) return null;
    const standing = await this.settle(row, account, api, project, remotes, there);
    await this.record(row, there, standing);
    this.crash.reach('forge.request_recorded');
    if (standing.submission === null || there === null) return null;

    const submission = (await this.queries.execute(new FindSubmission(standing.submission.id))) ?? standing.submission;
    const landing =
      submission.landingId === null ? null : await this.queries.execute(new FindLanding(submission.landingId));
    const pushed = await this.landed.isPushed(project.id, remotes, landing);
    const verification =
      submission.verificationId === null
        ? null
        : await this.queries.execute(new FindVerification(submission.verificationId));
    await this.comment(row, account, api, { submission, landing, pushed, verification, why: standing.why });
    if (landing?.state !== 'landed' || pushed !== 'pushed' || there.state !== 'open') return null;
    return await this.close(row, account, api, there, landing, remotes);
  }

  /** One that we have opened ourselves, and a webhook told of before its number was written down. */
  private async isOurs(row: IncomingRow, there: RequestThere): Promise<boolean> {
    if (there.fork) return false;
    const gone = await this.database.sql(
      `delete from forge_requests where id = $1 and exists (
         select 1 from forge_requests o where o.forge_id = $2 and o.direction = 'out' and o.branch = $3) returning id`,
      [row.request_id, row.id, there.branch],
    );
    return gone.length > 0;
  }

  /** What it is here, after what had to be done for that. */
  private async settle(
    row: IncomingRow,
    account: ForgeAccount,
    api: ForgeApi,
    project: ProjectRecord,
    remotes: readonly RemoteView[],
    there: RequestThere | null,
  ): Promise<Standing> {
    const before =
      row.submission_id === null ? null : await this.queries.execute(new FindSubmission(row.submission_id));
    if (there === null || there.state !== 'open') {
      const why = there === null ? 'It is not there any more.' : `It was ${there.state} there.`;
      return await this.takeBack(
        row,
        before,
        'closed',
        before?.state === 'landed' ? (row.why ?? 'It has landed.') : why,
      );
    }
    const branch = remotes[0]?.branch ?? project.branch;
    const mayWrite = (): Promise<boolean> => forgeOf(account).requests.mayWrite(api, row.repository, there.author);
    const skipped = await reasonToSkip(row.requests, there, branch, mayWrite);
    if (skipped !== null) return await this.takeBack(row, before, 'skipped', skipped);
    if (before !== null && row.handed_in === there.head)
      return { state: 'open', why: null, submission: before, handedIn: there.head, round: row.round };
    // Moved back to a commit that was here before, it is another submission all the same.
    const round = row.handed_in === null ? row.round : row.round + 1;
    const origin = `${row.request_id}/${round}/${there.head}`;
    await this.withdraw(row, origin, `Request ${row.number} has moved on to ${there.head} there.`);
    if (before !== null) this.crash.reach('forge.request_withdrawn');
    return await this.handIn(row, account, project, there, { round, origin });
  }

  private async takeBack(
    row: IncomingRow,
    before: SubmissionView | null,
    state: 'closed' | 'skipped',
    why: string | null,
  ): Promise<Standing> {
    await this.withdraw(row, null, `Request ${row.number}: ${why}`);
    // Should it be open again with the same commit, that is another submission.
    const round = state === row.state ? row.round : row.round + 1;
    return { state, why, submission: before, handedIn: null, round };
  }

  /** All that was handed in for it, also what a server that was killed could not write down. */
  private async withdraw(row: IncomingRow, kept: string | null, reason: string): Promise<void> {
    await this.commands.execute(new WithdrawSubmissions(row.project_id, `${row.request_id}/`, kept, reason));
  }

  private async handIn(
    row: IncomingRow,
    account: ForgeAccount,
    project: ProjectRecord,
    there: RequestThere,
    { round, origin }: { readonly round: number; readonly origin: string },
  ): Promise<Standing> {
    const ref = `refs/muster/requests/${row.request_id}`;
    try {
      const theirs = forgeOf(account).requests.refOf(row.number);
      const fetched = await this.commands.execute(new FetchFromRemote(project.id, theirs, ref));
      if (fetched.state === 'failing') throw new ForgeFailed(`It could not be fetched: ${fetched.problem}`, true);
      this.crash.reach('forge.request_fetched');
      // The forge's two halves tell of a push at different moments; what is handed in is what both know.
      if (fetched.value !== there.head)
        throw new ForgeFailed(`git has ${fetched.value} there, and the forge says ${there.head}.`, true);
      const submission = await this.commands.execute(
        new ReceivePush({
          teamId: project.teamId,
          projectId: project.id,
          branch: project.branch,
          commit: there.head,
          task: null,
          pushedBy: await this.requestedBy(row),
          // Whoever wrote it is nobody here: no name stands for what it changes of the rules.
          person: null,
          claim: `Request ${row.number} of ${there.author.name}: ${there.title}`.slice(0, 10_000),
          origin,
        }),
      );
      this.crash.reach('forge.request_handed_in');
      return { state: 'open', why: null, submission, handedIn: there.head, round };
    } catch (error) {
      if (!(error instanceof MusterError) || error.status >= 500) throw error;
      return { state: 'skipped', why: error.message, submission: null, handedIn: null, round };
    } finally {
      await this.repositories.setRef(project.id, ref, null);
    }
  }

  private async requestedBy({ id }: IncomingRow): Promise<string> {
    const [forge] = await this.database.sql<{ requested_by: string }>(`select requested_by from forges where id = $1`, [
      id,
    ]);
    if (forge === undefined) throw new ForgeFailed('The project is on no forge any more.', false);
    return forge.requested_by;
  }

  private async record(row: IncomingRow, there: RequestThere | null, standing: Standing): Promise<void> {
    const { state, why, submission, handedIn, round } = standing;
    const isNew = submission !== null && submission.id !== row.submission_id;
    await this.database.transaction(async (tx) => {
      const [written] = await tx.sql(
        `update forge_requests set state = $2, why = $3, submission_id = $4, handed_in = $5, round = $6, updated_at = muster_now(),
           title = coalesce($7, title), url = coalesce($8, url), author = coalesce($9, author), branch = coalesce($10, branch), head = coalesce($11, head)
         where id = $1 returning id`,
        [
          row.request_id, state, why, submission?.id ?? row.submission_id, handedIn, round,
          there?.title.replaceAll('\0', '').slice(0, 1000) ?? null, there?.url ?? null, there?.author.name ?? null, there?.branch ?? null, there?.head ?? null,
        ], // prettier-ignore
      );
      if (written === undefined || (state === row.state && why === row.why && !isNew)) return;
      if (isNew)
        await tx.sql(
          `insert into forge_submissions (submission_id, forge_id) values ($1, $2) on conflict (submission_id) do update set forge_id = excluded.forge_id`,
          [submission.id, row.id],
        );
      tx.append({
        type:
          state === 'open'
            ? 'forge.request_taken'
            : state === 'skipped'
              ? 'forge.request_skipped'
              : 'forge.request_closed',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: submission?.id ?? row.project_id,
        data: { number: row.number, submissionId: submission?.id ?? null, head: there?.head ?? null, why },
      });
    });
  }

  private async comment(
    row: IncomingRow,
    account: ForgeAccount,
    api: ForgeApi,
    told: Parameters<typeof commentOf>[0],
  ): Promise<void> {
    const { requests } = forgeOf(account);
    const mark = await this.secrets.markOf(row.request_id);
    const text = commentOf(told, `${this.config.publicUrl}/api/submissions/${told.submission.id}`, mark);
    if (row.comment_said === digestOf(text)) return;
    const { repository, number } = row;
    // One whose answer was lost is there already.
    const known = row.comment_id ?? (await requests.findComment(api, repository, number, mark));
    const changed = known !== null && (await requests.changeComment(api, repository, number, known, text));
    const id = changed ? known : await requests.addComment(api, repository, number, text);
    this.crash.reach('forge.comment_said');
    await this.database.sql(`update forge_requests set comment_id = $2, comment_said = $3 where id = $1`, [
      row.request_id,
      id,
      digestOf(text),
    ]);
  }

  private async close(
    row: IncomingRow,
    account: ForgeAccount,
    api: ForgeApi,
    there: RequestThere,
    landing: LandingView,
    remotes: readonly RemoteView[],
  ): Promise<number | null> {
    if (await this.landed.mayBeSeen(row.project_id, remotes, there.head, landing)) return LOOK_AGAIN_SECONDS;
    await forgeOf(account).requests.close(api, row.repository, row.number);
    this.crash.reach('forge.request_closed');
    await this.database.transaction(async (tx) => {
      const why = `It landed as ${landing.commit}.`;
      const [written] = await tx.sql(
        `update forge_requests set state = 'closed', why = $2, updated_at = muster_now() where id = $1 and state <> 'closed' returning id`,
        [row.request_id, why],
      );
      if (written === undefined) return;
      tx.append({
        type: 'forge.request_closed',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: landing.submissionId,
        data: { number: row.number, submissionId: landing.submissionId, head: there.head, why },
      });
    });
    return null;
  }
}
