import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Ids } from '#kernel';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { accountOf, forgeColumns, forgeOf, type ForgeRow } from '../domain/forge-row.ts';
import { noticeRequest, requestColumns, type RequestRow } from '../domain/request-row.ts';
import { ForgeAccess } from '../forge-access.ts';
import { ForgePauses } from '../forge-pauses.ts';
import { CLAIM_SECONDS, HeldClaims } from '../held-claims.ts';
import { ForgeFailed } from '../forges.errors.ts';
import { OfferRequest } from './offer-request.ts';
import { TakeRequest } from './take-request.ts';

/** The round, for those who know of a request that should be looked at now. */
export const FORGE_REQUESTS = 'forge-requests';
const EVERY_MS = 2000;
const AT_ONCE = 20;
const FIRST_PAUSE_SECONDS = 5;
const MOST_PAUSE_SECONDS = 3600;
/** A refusal that does not pass is asked again for about an hour. */
const TRIES = 10;
/** Webhooks may be lost, and there may be none. */
const LIST_EVERY_SECONDS = 600;
const LISTS_AT_ONCE = 10;

/**
 * Looks at requests whose moment has come, each as often as something has happened. A look reads what is so at the forge and here, and does
 * what is missing, so that it may be repeated from anywhere.
 */
@Injectable()
export class LookAtRequests implements OnApplicationBootstrap {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly rounds: Rounds,
    private readonly access: ForgeAccess,
    private readonly pauses: ForgePauses,
    private readonly claims: HeldClaims,
    private readonly ids: Ids,
    private readonly incoming: TakeRequest,
    private readonly outgoing: OfferRequest,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin(FORGE_REQUESTS, EVERY_MS, (signal) => this.round(signal));
    this.rounds.begin('forge-request-lists', 60_000, (signal) => this.listDue(signal));
  }

  async round(signal?: AbortSignal): Promise<void> {
    const by = randomUUID();
    const byForge = Map.groupBy(await this.claim(by), ({ id }) => id);
    if (byForge.size > 0) await this.claims.during('forge_requests', by, () => this.lookAtAll(byForge, signal));
  }

  private async lookAtAll(byForge: ReadonlyMap<string, RequestRow[]>, signal?: AbortSignal): Promise<void> {
    await Promise.all(
      [...byForge.values()].map(async (rows) => {
        for (const [index, row] of rows.entries()) {
          if (signal?.aborted === true || !(await this.look(row))) {
            await this.giveBack(rows.slice(signal?.aborted === true ? index : index + 1));
            return;
          }
        }
      }),
    );
  }

  /** What no webhook has told: asks for the list of those that are open, for forges whose turn it is. */
  async listDue(signal?: AbortSignal): Promise<void> {
    const due = await this.database.sql<ForgeRow>(
      `update forges set list_requests_at = muster_now() + make_interval(secs => ${LIST_EVERY_SECONDS})
       where id in (select id from forges where list_requests_at <= muster_now()
           and not exists (select 1 from forge_pauses p where p.account = forges.account and p.until > muster_now())
         order by list_requests_at, id limit $1 for no key update skip locked)
       returning ${forgeColumns}`,
      [LISTS_AT_ONCE],
    );
    for (const forge of due) if (signal?.aborted !== true) await this.list(forge);
    if (due.length > 0) this.rounds.soon(FORGE_REQUESTS);
  }

  private async list(forge: ForgeRow): Promise<void> {
    const account = accountOf(this.config.forges, forge);
    if (account === null) return;
    try {
      const api = this.access.api(account, forge.repository);
      const open = await forgeOf(account).requests.open(api, forge.repository);
      const known = await this.database.sql<{ number: number; head: string | null; state: string }>(
        `select number, head, state from forge_requests where forge_id = $1 and number is not null and (state <> 'closed' or number = any($2::int[]))`,
        [forge.id, open.map(({ number }) => number)],
      );
      const before = new Map(known.map((one) => [one.number, one]));
      const there = new Set(open.map(({ number }) => number));
      const changed = open.filter(({ number, head }) => {
        const one = before.get(number);
        return one === undefined || one.head !== head || one.state === 'closed';
      });
      const gone = known.filter(({ number, state }) => state !== 'closed' && !there.has(number));
      await this.database.transaction(async (tx) => {
        for (const { number } of [...changed, ...gone]) await noticeRequest(tx, this.ids, forge, number);
      });
    } catch (error) {
      if (!(error instanceof ForgeFailed)) throw error;
      if (error.pauseMs !== null) await this.pauses.rest(forge.account, error.pauseMs);
    }
  }

  private claim(by: string): Promise<RequestRow[]> {
    return this.database.sql<RequestRow>(
      `with due as (
         select r.id from forge_requests r join forges on forges.id = r.forge_id
         where r.next_action_at <= muster_now() and (r.claimed_until is null or r.claimed_until < muster_now())
           and not exists (select 1 from forge_pauses p where p.account = forges.account and p.until > muster_now())
         order by r.next_action_at, r.id limit $1 for update of r skip locked)
       update forge_requests r set claimed_until = muster_now() + make_interval(secs => ${CLAIM_SECONDS}), claimed_by = $2
       from due, forges where r.id = due.id and forges.id = r.forge_id
       returning ${forgeColumns}, ${requestColumns}`,
      [AT_ONCE, by],
    );
  }

  /** False: nothing more is asked of this forge for now. */
  private async look(row: RequestRow): Promise<boolean> {
    const account = accountOf(this.config.forges, row);
    if (account === null) {
      const problem = `The operator lets nobody use the account "${row.account}" for ${row.repository} any more.`;
      await this.failed(row, problem, false);
      return false;
    }
    try {
      const { number } = row;
      const again =
        row.direction === 'out' || number === null
          ? await this.outgoing.run(row, account)
          : await this.incoming.run({ ...row, number }, account);
      await this.database.sql(
        `update forge_requests set seen = $2, failures = 0, problem = null, claimed_until = null,
           next_action_at = case when wanted > $2 then muster_now() when $3::float8 is not null then muster_now() + make_interval(secs => $3::float8) end
         where id = $1`,
        [row.request_id, row.wanted, again],
      );
      return true;
    } catch (error) {
      if (error instanceof ForgeFailed && error.pauseMs !== null) {
        await this.pauses.rest(row.account, error.pauseMs);
        await this.giveBack([row]);
        return false;
      }
      const passing = !(error instanceof ForgeFailed) || error.passing;
      const problem =
        error instanceof ForgeFailed
          ? error.message
          : `Something else than expected has happened: ${String(error)}`.slice(0, 300);
      await this.failed(row, problem, passing);
      return !passing;
    }
  }

  private async failed(row: RequestRow, problem: string, passing: boolean): Promise<void> {
    const last = !passing && row.failures + 1 >= TRIES;
    await this.database.transaction(async (tx) => {
      await tx.sql(
        `update forge_requests set failures = failures + 1, problem = $2, claimed_until = null, updated_at = muster_now(),
           next_action_at = case when $3 and wanted = $4 then null
             else muster_now() + make_interval(secs => least(${MOST_PAUSE_SECONDS}, ${FIRST_PAUSE_SECONDS} * power(2, least(failures, 12)))) end
         where id = $1`,
        [row.request_id, problem.replaceAll('\0', ''), last, row.wanted],
      );
      if (!last) return;
      tx.append({
        type: 'forge.request_failed',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: row.project_id,
        priority: 'high',
        data: { direction: row.direction, number: row.number, submissionId: row.submission_id, problem },
      });
    });
  }

  private async giveBack(rows: readonly RequestRow[]): Promise<void> {
    await this.database.sql(`update forge_requests set claimed_until = null where id = any($1::text[])`, [
      rows.map(({ request_id: id }) => id),
    ]);
  }
}
