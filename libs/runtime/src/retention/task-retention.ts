import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import {
  addMonths,
  archive,
  dropMonth,
  endedBefore,
  forgetMonth,
  forgetTasksOf,
  isFirstToArchive,
  monthOf,
  monthsToDrop,
  newestToArchive,
} from '../sql/task-archive.ts';

const lookEveryMs = 60_000;
const look = 2_000;
const inATransaction = 500;
const forgetAtOnce = 5_000;

/**
 * Finished tasks leave the tables that work goes through: some hundred in a transaction, into an archive by month, from which whole
 * months are dropped when their time is over. Half of the time it rests, so that it never is what the database does.
 */
@Injectable()
export class TaskRetention implements OnApplicationBootstrap {
  readonly #log = new Logger('task-retention');

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin('task retention', lookEveryMs, (signal) => this.once(signal));
  }

  async once(signal: AbortSignal): Promise<{ archived: number; dropped: string[] }> {
    return { archived: await this.archiveEnded(signal), dropped: await this.dropOld(signal) };
  }

  private async archiveEnded(signal: AbortSignal): Promise<number> {
    const keptMs = this.config.tasksArchiveAfterMs;
    if (keptMs === null) return 0;
    let moved = 0;
    const before = await newestToArchive(this.database, keptMs);
    let after: string | null = '';
    while (after !== null && !signal.aborted) {
      const begun = performance.now();
      const found: { ids: string[]; last: string | null } = await endedBefore(this.database, {
        after,
        before,
        keptMs,
        look,
      });
      for (let from = 0; from < found.ids.length && !signal.aborted; from += inATransaction)
        moved += await this.move(found.ids.slice(from, from + inATransaction), keptMs);
      after = found.last;
      await new Promise((rest) => setTimeout(rest, performance.now() - begun));
    }
    if (moved > 0) this.#log.log(`${moved} finished tasks went to the archive.`);
    return moved;
  }

  private move(ids: readonly string[], keptMs: number): Promise<number> {
    const months = new Map<string, NonNullable<ReturnType<typeof monthOf>>>();
    const movable = ids.filter((id) => {
      const month = monthOf(id);
      if (month !== null) months.set(month.month, month);
      return month !== null;
    });
    return this.database.transaction(async (tx) => {
      if (!(await isFirstToArchive(tx))) return 0;
      await addMonths(tx, [...months.values()]);
      return archive(tx, { ids: movable, keptMs });
    });
  }

  /** Whole months; their keys and what else is known of them go afterwards, and the month's row last, so that a next server goes on. */
  private async dropOld(signal: AbortSignal): Promise<string[]> {
    const keptMs = this.config.tasksRetentionMs;
    const gone: string[] = [];
    if (keptMs === null) return gone;
    for (const month of await monthsToDrop(this.database, keptMs)) {
      if (signal.aborted) break;
      const first = await this.database.transaction((tx) => isFirstToArchive(tx));
      if (!first) break;
      await dropMonth(this.database, month);
      while (await this.database.transaction((tx) => forgetTasksOf(tx, month, forgetAtOnce)))
        if (signal.aborted) return gone;
      await this.database.transaction((tx) => forgetMonth(tx, month));
      gone.push(month.month);
      this.#log.log(`Tasks of ${month.month} ended longer ago than is kept, and are gone.`);
    }
    return gone;
  }
}
