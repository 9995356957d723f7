import { Injectable } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { RemoteView } from '@muster/contracts';
import { FindLanding, FindSubmission } from '#messages/integration';
import { FindProject, ListRemotes, PushToRemote } from '#messages/projects';
import { FindVerification } from '#messages/quality';
import { FindTask } from '#messages/runtime';
import { Config, type ForgeAccount } from '#platform/config';
import { Database } from '#platform/database';
import { ForgeCrashPoints } from '../crash-points.ts';
import type { ForgeRequests, RequestThere } from '../domain/forge.ts';
import type { ForgeApi } from '../domain/forge-api.ts';
import { forgeOf } from '../domain/forge-row.ts';
import { digestOf, type Told } from '../domain/request-comment.ts';
import { descriptionOf, offerWishOf, titleOf } from '../domain/request-description.ts';
import type { RequestRow } from '../domain/request-row.ts';
import { ForgeAccess } from '../forge-access.ts';
import { ForgeFailed } from '../forges.errors.ts';
import { LandedThere } from '../landed-there.ts';

const LOOK_AGAIN_SECONDS = 15;

/** One look at a request of ours: its branch, itself and its words are made what they are to be, each after a look at what is there. */
@Injectable()
export class OfferRequest {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly access: ForgeAccess,
    private readonly landed: LandedThere,
    private readonly crash: ForgeCrashPoints,
    private readonly config: Config,
  ) {}

  /** @returns after how many seconds it should be looked at again; null: when something happens */
  async run(row: RequestRow, account: ForgeAccount): Promise<number | null> {
    if (row.state === 'closed') return null;
    const api = this.access.api(account, row.repository);
    const { requests } = forgeOf(account);
    const project = await this.queries.execute(new FindProject(row.project_id));
    const submission = await this.queries.execute(new FindSubmission(row.submission_id ?? ''));
    if (project === null || submission === null) return null;
    const remotes = await this.queries.execute(new ListRemotes(project.id));
    const told = await this.toldOf(row, submission, remotes);
    const task = row.task_id === null ? null : await this.queries.execute(new FindTask(row.task_id));
    const wish = offerWishOf(told, task);

    let there = await this.find(requests, api, row);
    if (there !== null && there.state !== 'open') {
      if (wish === 'closed') await this.dropBranch(row);
      await this.closed(
        row,
        there,
        told.landing === null ? `It was ${there.state} there.` : `It landed as ${told.landing.commit}.`,
      );
      return null;
    }
    if (wish === 'open' && row.pushed !== submission.commit && told.landing === null)
      await this.push(row, submission.commit);
    const words = { title: titleOf(submission), body: descriptionOf(told, task, this.config.publicUrl) };
    const digest = digestOf(`${words.title}\n${words.body}`);
    if (there === null) {
      if (wish === 'closed' || row.number !== null) {
        await this.dropBranch(row);
        await this.closed(
          row,
          null,
          row.number === null ? 'It was over before it was opened.' : 'It is not there any more.',
        );
        return null;
      }
      const base = remotes.at(-1)?.branch ?? project.branch;
      there = await this.make(requests, api, row, { branch: row.branch, base, ...words });
      this.crash.reach('forge.offer_made');
      await this.opened(row, there, digest);
      this.crash.reach('forge.offer_recorded');
    } else {
      if (row.number === null) await this.opened(row, there, null);
      if (row.described !== digest) {
        await requests.describe(api, row.repository, there.number, words);
        this.crash.reach('forge.offer_described');
        await this.database.sql(`update forge_requests set described = $2 where id = $1`, [row.request_id, digest]);
      }
    }
    if (wish === 'open') return null;
    if (told.landing !== null && (await this.landed.mayBeSeen(project.id, remotes, there.head, told.landing)))
      return LOOK_AGAIN_SECONDS;
    await requests.close(api, row.repository, there.number);
    this.crash.reach('forge.offer_closed');
    await this.dropBranch(row);
    this.crash.reach('forge.offer_branch_dropped');
    await this.closed(row, there, told.landing === null ? 'It did not land.' : `It landed as ${told.landing.commit}.`);
    return null;
  }

  private async toldOf(row: RequestRow, submission: Told['submission'], remotes: readonly RemoteView[]): Promise<Told> {
    const { landingId, verificationId } = submission;
    const landing = landingId === null ? null : await this.queries.execute(new FindLanding(landingId));
    const verification =
      verificationId === null ? null : await this.queries.execute(new FindVerification(verificationId));
    const over = submission.state === 'landed' ? landing : null;
    const pushed = await this.landed.isPushed(row.project_id, remotes, over);
    return { submission, verification, landing: over, pushed, why: null };
  }

  /** By its number; where none was kept, by its branch: what was made before we could write it down is not made again. */
  private async find(requests: ForgeRequests, api: ForgeApi, row: RequestRow): Promise<RequestThere | null> {
    if (row.number !== null) return await requests.find(api, row.repository, row.number);
    const there = await requests.ofBranch(api, row.repository, row.branch);
    return there?.state === 'open' ? there : null;
  }

  private async make(
    requests: ForgeRequests,
    api: ForgeApi,
    row: RequestRow,
    wish: Parameters<ForgeRequests['make']>[2],
  ): Promise<RequestThere> {
    try {
      return await requests.make(api, row.repository, wish);
    } catch (error) {
      // There is one already, says the forge: its list was older than its word.
      const there =
        error instanceof ForgeFailed && [409, 422].includes(error.status ?? 0)
          ? await requests.ofBranch(api, row.repository, row.branch)
          : null;
      if (there?.state !== 'open') throw error;
      return there;
    }
  }

  private async push(row: RequestRow, commit: string): Promise<void> {
    const [written] = await this.database.sql<{ begun: string[] }>(
      `update forge_requests set begun = case when $2 = any(begun) then begun else begun || $2::text end where id = $1 returning begun`,
      [row.request_id, commit],
    );
    this.crash.reach('forge.offer_pushing');
    const pushed = await this.commands.execute(
      new PushToRemote(row.project_id, row.branch, commit, written?.begun ?? []),
    );
    if (pushed.state === 'failing') throw new ForgeFailed(pushed.problem, true);
    this.crash.reach('forge.offer_pushed');
    await this.database.sql(`update forge_requests set pushed = $2, head = $2 where id = $1`, [row.request_id, commit]);
  }

  /** Nobody needs it any more. Where somebody else has gone on with it, it stays. */
  private async dropBranch(row: RequestRow): Promise<void> {
    const [now] = await this.database.sql<{ begun: string[] }>(`select begun from forge_requests where id = $1`, [
      row.request_id,
    ]);
    if (now !== undefined && now.begun.length > 0)
      await this.commands.execute(new PushToRemote(row.project_id, row.branch, null, now.begun));
  }

  private async opened(row: RequestRow, there: RequestThere, described: string | null): Promise<void> {
    await this.database.transaction(async (tx) => {
      // A webhook was faster than the answer.
      await tx.sql(`delete from forge_requests where forge_id = $1 and number = $2 and direction = 'in'`, [
        row.id,
        there.number,
      ]);
      const [written] = await tx.sql(
        `update forge_requests set number = $2, url = $3, title = $4, author = $5, state = 'open', described = coalesce($6, described), updated_at = muster_now()
         where id = $1 returning id`,
        [row.request_id, there.number, there.url, there.title, there.author.name, described],
      );
      if (written !== undefined)
        tx.append(this.event(row, 'forge.request_opened', { number: there.number, url: there.url }));
    });
  }

  private async closed(row: RequestRow, there: RequestThere | null, why: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const [written] = await tx.sql(
        `update forge_requests set state = 'closed', why = $2, number = coalesce(number, $3), updated_at = muster_now() where id = $1 and state <> 'closed' returning id`,
        [row.request_id, why, there?.number ?? null],
      );
      if (written === undefined) return;
      const number = there?.number ?? row.number;
      tx.append(this.event(row, 'forge.request_closed', { number, why, there: there?.state ?? null }));
    });
  }

  private event(row: RequestRow, type: string, data: Record<string, unknown>) {
    return {
      type,
      teamId: row.team_id,
      projectId: row.project_id,
      subject: row.submission_id,
      data: { direction: 'out', submissionId: row.submission_id, taskId: row.task_id, branch: row.branch, ...data },
    };
  }
}
