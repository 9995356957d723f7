import { Injectable, Logger } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { VerificationView } from '@muster/contracts';
import { RollBackLanding } from '#messages/integration';
import { FindVerification, RequestVerification } from '#messages/quality';
import { MusterError } from '#kernel';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { CrashPoints } from '../crash-points.ts';
import { landingColumns, type LandingRow } from '../domain/landing.ts';
import { pauseAfter } from '../domain/patience.ts';
import { POST_LANDING_CHECK } from './roll-back-landing.ts';

const LOOK_AGAIN_SECONDS = 5;

/** What has landed proves itself once more, by the project's own command; what fails is taken back. Idempotent, like the other driver. */
@Injectable()
export class AdvanceLanding {
  private readonly logger = new Logger(AdvanceLanding.name);

  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly repositories: Repositories,
    private readonly crash: CrashPoints,
  ) {}

  async run(landingId: string): Promise<void> {
    const [row] = await this.database.sql<LandingRow>(`select ${landingColumns} from landings where id = $1`, [
      landingId,
    ]);
    if (row === undefined || !row.pending) return;
    try {
      await this.check(row);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.logger.error(
        `${row.id} could not be checked after landing: ${why}`,
        error instanceof Error ? error.stack : undefined,
      );
      await this.database.sql(
        `update landings set failures = failures + 1, last_error = $2,
           next_action_at = muster_now() + make_interval(secs => least(60, power(2, least(failures, 6))))
         where id = $1 and next_action_at is not null`,
        [row.id, why.slice(0, 2000)],
      );
    }
  }

  private async check(row: LandingRow): Promise<void> {
    if (row.state === 'intended') return;
    // Failed already, but the revert that follows from it was not handed in yet.
    if (row.post_landing === 'failed') return await this.takeBack(row);
    const verification = await this.verification(row);
    this.crash.reach('post_landing.requested');
    // What was accepted before landing says nothing about what only shows afterwards.
    if (verification.purpose !== 'post_landing') throw new Error(`${verification.id} is no post-landing verification.`);
    if (verification.id !== row.post_verification_id) {
      await this.database.sql(
        `update landings set post_verification_id = $2 where id = $1 and post_landing = 'pending'`,
        [row.id, verification.id],
      );
    }
    if (verification.state !== 'finished') {
      await this.database.sql(
        `update landings set next_action_at = muster_now() + make_interval(secs => $2::float8) where id = $1 and next_action_at is not null`,
        [row.id, LOOK_AGAIN_SECONDS],
      );
      return;
    }
    if (verification.evidence === false) return await this.withoutEvidence(row, verification);
    const passed = verification.verdict === 'accepted';
    const summary = passed ? 'The post-landing check passed.' : verification.reasons.join('\n');
    const written = await this.database.transaction(async (tx) => {
      const [first] = await tx.sql<{ id: string }>(
        `update landings set post_landing = $2, last_error = null, failures = 0,
           next_action_at = case when $3::boolean then muster_now() end
         where id = $1 and post_landing = 'pending' returning id`,
        [row.id, passed ? 'passed' : 'failed', !passed],
      );
      if (first === undefined) return false;
      tx.append({
        type: passed ? 'landing.post_landing_passed' : 'landing.post_landing_failed',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: row.id,
        priority: passed ? 'normal' : 'high',
        data: { landingId: row.id, commit: row.commit, summary },
      });
      return true;
    });
    this.crash.reach('post_landing.judged');
    if (written && !passed) await this.takeBack(row);
  }

  /** Nothing is taken back for what was not seen: it is tried again after a pause, and in the end a person hears of it. */
  private async withoutEvidence(row: LandingRow, verification: VerificationView): Promise<void> {
    const pause = pauseAfter(row.unverified + 1);
    await this.database.transaction(async (tx) => {
      const [written] = await tx.sql<{ id: string }>(
        `update landings set unverified = unverified + 1, last_error = $3,
           post_verification_id = case when $4::float8 is null then post_verification_id end,
           post_landing = case when $4::float8 is null then 'not_run' else post_landing end,
           next_action_at = muster_now() + make_interval(secs => $4::float8)
         where id = $1 and post_landing = 'pending' and post_verification_id = $2 returning id`,
        [row.id, verification.id, verification.reasons.join('\n').slice(0, 2000), pause],
      );
      if (written === undefined || pause !== null) return;
      tx.append({
        type: 'landing.post_landing_not_run',
        teamId: row.team_id,
        projectId: row.project_id,
        subject: row.id,
        priority: 'high',
        data: { landingId: row.id, commit: row.commit, summary: verification.reasons.join('\n') },
      });
    });
  }

  /** By rule. A revert that fails here is only reported: taking back what took something back would go in circles. */
  private async takeBack(row: LandingRow): Promise<void> {
    if (row.kind === 'change' && row.state === 'landed') {
      const verification = row.post_verification_id === null ? null : await this.find(row.post_verification_id);
      const summary = verification?.reasons.join('\n') ?? '';
      try {
        await this.commands.execute(
          new RollBackLanding(
            row.id,
            `Its post-landing check failed.${summary === '' ? '' : `\n${summary}`}`,
            POST_LANDING_CHECK,
          ),
        );
      } catch (error) {
        // A fact about the branch (undone already, rolled back already) ends it; anything else is tried again.
        if (!(error instanceof MusterError) || error.status >= 500) throw error;
        this.logger.warn(`${row.id} is not taken back: ${error.message}`);
      }
    }
    await this.database.sql(`update landings set next_action_at = null where id = $1`, [row.id]);
  }

  /** The one that was asked for, or a new one; asking twice for the same evidence is asking once. */
  private async verification(row: LandingRow): Promise<VerificationView> {
    const asked = row.post_verification_id === null ? null : await this.find(row.post_verification_id);
    if (asked !== null) return asked;
    return await this.commands.execute(
      new RequestVerification({
        teamId: row.team_id,
        projectId: row.project_id,
        purpose: 'post_landing',
        subjectId: row.id,
        candidateTree: row.landed_tree,
        baseTree: await this.repositories.treeOf(row.project_id, row.before),
        restoresTree: null,
        rulesCommit: row.commit,
        approvedBy: null,
      }),
    );
  }

  private async find(verificationId: string): Promise<VerificationView | null> {
    return await this.queries.execute(new FindVerification(verificationId));
  }
}
