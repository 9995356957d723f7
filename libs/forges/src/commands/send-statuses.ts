import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { FindVerification } from '#messages/quality';
import { Config, type ForgeAccount } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { ForgeCrashPoints } from '../crash-points.ts';
import type { Status } from '../domain/forge.ts';
import { accountOf, forgeColumns, forgeOf, type ForgeRow } from '../domain/forge-row.ts';
import { checkOf } from '../domain/checks-of.ts';
import { ForgeAccess } from '../forge-access.ts';
import { CLAIM_SECONDS, HeldClaims } from '../held-claims.ts';
import { ForgePauses } from '../forge-pauses.ts';
import { ForgeFailed } from '../forges.errors.ts';

/** The round, for those who have something to be said at once. */
export const FORGE_STATUSES = 'forge-statuses';
const EVERY_MS = 2000;
const AT_ONCE = 40;
const FIRST_PAUSE_SECONDS = 5;
const MOST_PAUSE_SECONDS = 3600;
/** A refusal that does not pass (no such commit, no permission) is asked again for about an hour: a push may be on its way. */
const TRIES = 10;
const KEPT_DAYS = 30;

interface Owed extends ForgeRow, Status {
  readonly commit: string;
  readonly kind: 'status' | 'check';
  readonly external_id: string | null;
  readonly verification_id: string | null;
  readonly wanted: number;
  /** What somebody had begun to say before: whether the forge heard it is not known. */
  readonly tried: number;
  readonly failures: number;
}

/**
 * Tells forges what they have not been told yet. A row says what is to be shown beside a commit, so that only the last word counts and
 * nothing is lost; before a word is said again that may have been heard, the forge is asked, so that nothing is doubled.
 */
@Injectable()
export class SendStatuses implements OnApplicationBootstrap {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
    private readonly access: ForgeAccess,
    private readonly pauses: ForgePauses,
    private readonly claims: HeldClaims,
    private readonly crash: ForgeCrashPoints,
    private readonly queries: QueryBus,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin(FORGE_STATUSES, EVERY_MS, (signal) => this.round(signal));
    this.rounds.begin('old-webhooks', 3_600_000, () =>
      this.database.sql(
        `delete from forge_webhooks where received_at < muster_now() - make_interval(days => ${KEPT_DAYS})`,
      ),
    );
  }

  async round(signal?: AbortSignal): Promise<void> {
    const by = randomUUID();
    const byForge = Map.groupBy(await this.claim(by), ({ id }) => id);
    if (byForge.size > 0) await this.claims.during('forge_statuses', by, () => this.sendAll(byForge, signal));
  }

  private async sendAll(byForge: ReadonlyMap<string, Owed[]>, signal?: AbortSignal): Promise<void> {
    // One after another at one forge, as they ask for; one that hangs keeps no other waiting.
    await Promise.all(
      [...byForge.values()].map(async (owed) => {
        for (const [index, one] of owed.entries()) {
          if (signal?.aborted === true || !(await this.send(one))) {
            await this.giveBack(owed.slice(signal?.aborted === true ? index : index + 1));
            return;
          }
        }
      }),
    );
  }

  private claim(by: string): Promise<Owed[]> {
    return this.database.sql<Owed>(
      `with due as (
         select s.forge_id, s.commit, s.context, s.kind, s.tried from forge_statuses s join forges on forges.id = s.forge_id
         where s.next_action_at <= muster_now() and (s.claimed_until is null or s.claimed_until < muster_now())
           and not exists (select 1 from forge_pauses p where p.account = forges.account and p.until > muster_now())
         order by s.next_action_at, s.forge_id, s.commit, s.context, s.kind limit $1 for update of s skip locked)
       update forge_statuses s set tried = s.wanted, claimed_until = muster_now() + make_interval(secs => ${CLAIM_SECONDS}), claimed_by = $2
       from due join forges on forges.id = due.forge_id
       where (s.forge_id, s.commit, s.context, s.kind) = (due.forge_id, due.commit, due.context, due.kind)
       returning ${forgeColumns}, s.commit, s.context, s.kind, s.external_id, s.verification_id, s.state, s.description, s.url, s.wanted, due.tried, s.failures`,
      [AT_ONCE, by],
    );
  }

  /** False: nothing more goes to this forge for now. */
  private async send(owed: Owed): Promise<boolean> {
    const account = accountOf(this.config.forges, owed);
    if (account === null) {
      await this.failed(
        owed,
        `The operator lets nobody use the account "${owed.account}" for ${owed.repository} any more.`,
        false,
      );
      return false;
    }
    this.crash.reach('forge.status_claimed');
    try {
      await this.say(owed, account);
    } catch (error) {
      if (error instanceof ForgeFailed && error.pauseMs !== null) {
        await this.pause(owed, error.pauseMs);
        return false;
      }
      const passing = !(error instanceof ForgeFailed) || error.passing;
      await this.failed(
        owed,
        error instanceof ForgeFailed
          ? error.message
          : `It answered something else than expected: ${String(error)}`.slice(0, 300),
        passing,
      );
      return !passing;
    }
    this.crash.reach('forge.status_said');
    await this.database.sql(
      `update forge_statuses set sent = $4, failures = 0, problem = null, claimed_until = null,
         next_action_at = case when wanted > $4 then muster_now() end
       where (forge_id, commit, context, kind) = ($1, $2, $3, $5)`,
      [owed.id, owed.commit, owed.context, owed.wanted, owed.kind],
    );
    return true;
  }

  private async say(owed: Owed, account: ForgeAccount): Promise<void> {
    const forge = forgeOf(account);
    const api = this.access.api(account, owed.repository);
    if (owed.kind === 'check') {
      if (forge.showCheck === null) throw new ForgeFailed(`There are no check runs at ${owed.account}.`, false);
      const { verification_id: id } = owed;
      const verification = id === null ? null : await this.queries.execute(new FindVerification(id));
      await forge.showCheck(api, owed.repository, owed.commit, checkOf(owed, owed.external_id ?? '', verification));
      return;
    }
    const heard = owed.tried === owed.wanted && (await forge.hasStatus(api, owed.repository, owed.commit, owed));
    if (!heard) await forge.setStatus(api, owed.repository, owed.commit, owed);
  }

  /** Refused by a limit is surely not heard. */
  private async pause(owed: Owed, pauseMs: number): Promise<void> {
    await this.pauses.rest(owed.account, pauseMs);
    await this.giveBack([owed]);
  }

  private async failed(owed: Owed, problem: string, passing: boolean): Promise<void> {
    const last = !passing && owed.failures + 1 >= TRIES;
    await this.database.transaction(async (tx) => {
      const [row] = await tx.sql(
        `update forge_statuses set failures = failures + 1, problem = $4, claimed_until = null, tried = $7,
           next_action_at = case when $5 and wanted = $6 then null
             else muster_now() + make_interval(secs => least(${MOST_PAUSE_SECONDS}, ${FIRST_PAUSE_SECONDS} * power(2, least(failures, 12)))) end
         where (forge_id, commit, context, kind) = ($1, $2, $3, $8) returning forge_id`,
        // Refused is surely not heard; without an answer nobody knows.
        [owed.id, owed.commit, owed.context, problem, last, owed.wanted, passing ? owed.wanted : owed.tried, owed.kind],
      );
      if (row === undefined || !last) return;
      tx.append({
        type: 'forge.status_refused',
        teamId: owed.team_id,
        projectId: owed.project_id,
        subject: owed.project_id,
        priority: 'high',
        data: { commit: owed.commit, context: owed.context, kind: owed.kind, state: owed.state, problem },
      });
    });
  }

  private async giveBack(owed: readonly Owed[]): Promise<void> {
    for (const { id, commit, context, kind, tried } of owed)
      await this.database.sql(
        `update forge_statuses set claimed_until = null, tried = $4 where (forge_id, commit, context, kind) = ($1, $2, $3, $5)`,
        [id, commit, context, tried, kind],
      );
  }
}
