import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Blobs, lockToDrop } from '#platform/blobs';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { forgetReports } from './domain/held-verification.ts';

const lookEveryMs = 600_000;
const perRound = 500;
/** Longer than any transaction that stores a content and then names it. */
const unnamedFor = "interval '1 hour'";

/** Logs and artefacts leave some time after their verification has ended; facts, score and verdict stay. */
@Injectable()
export class ReportsRetention implements OnApplicationBootstrap {
  readonly #log = new Logger('reports-retention');

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly blobs: Blobs,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin('old reports of verifications', lookEveryMs, (signal) => this.forget(signal));
  }

  async forget(signal?: AbortSignal): Promise<{ reports: number; contents: number }> {
    const reports = await this.forgetReports();
    const contents = await this.dropContents(signal);
    if (reports + contents > 0)
      this.#log.log(`Reports of ${reports} old verifications and ${contents} contents were taken away.`);
    return { reports, contents };
  }

  private async forgetReports(): Promise<number> {
    const keptMs = this.config.verificationLogsRetentionMs;
    if (keptMs === null) return 0;
    return await this.database.transaction(async (tx) => {
      const old = await tx.sql<{ id: string }>(
        `update verifications set report_fence = null where id in (
           select id from verifications
           where report_fence is not null and state = 'finished' and finished_at < clock_timestamp() - $1 * interval '1 millisecond'
           order by finished_at, id limit $2 for update skip locked)
         returning id`,
        [keptMs, perRound],
      );
      await forgetReports(
        tx,
        old.map(({ id }) => id),
      );
      return old.length;
    });
  }

  private async dropContents(signal?: AbortSignal): Promise<number> {
    const unnamed = `kept_at < clock_timestamp() - ${unnamedFor} and not exists (select from verification_artefacts a where a.digest = c.digest)`;
    const due = await this.database.sql<{ digest: string }>(
      `select digest from verification_contents c where ${unnamed} order by kept_at, digest limit $1`,
      [perRound],
    );
    let gone = 0;
    for (const { digest } of due) {
      if (signal?.aborted === true) break;
      gone += await this.database.transaction(async (tx) => {
        await lockToDrop(tx, 'verifications', digest);
        const left = await tx.sql(
          `delete from verification_contents c where digest = $1 and ${unnamed} returning digest`,
          [digest],
        );
        // Before the commit: should that fail, a row without its file is stored again by the next who leaves the same.
        if (left.length > 0) await this.blobs.remove(digest, 'verifications');
        return left.length;
      });
    }
    return gone;
  }
}
