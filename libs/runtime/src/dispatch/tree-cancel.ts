import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { dueOf } from '../sql/sweep.ts';
import { cancelMany, childrenOf, forgetTree, rememberTree, takeTree } from '../sql/trees.ts';
import { WakeUps } from './wake-ups.ts';

/** Tasks in one transaction: few enough that nobody waits long for the rows of one. */
const perTransaction = 500;
/** So long a request goes on by itself; what is left of a larger tree is cancelled behind it. */
const patienceMs = 10_000;
/** So long after it was last seen at work somebody else goes on. */
const abandonedSeconds = 20;
const everyMs = 2_000;

export interface TreeProgress {
  readonly cancelled: number;
  /** False: there is more, and it is being cancelled. */
  readonly complete: boolean;
}

/**
 * Cancels everything below a task, level by level and in transactions of bounded size. Nothing new can be begun below what is
 * cancelled, so that it comes to an end; that it has not is written down, so that it does also when this process is killed.
 */
@Injectable()
export class TreeCancel implements OnApplicationBootstrap {
  constructor(
    private readonly database: Database,
    private readonly wakeUps: WakeUps,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin('cancelled trees', everyMs, () => this.once());
  }

  /** Goes on with what others have left. */
  async once(): Promise<void> {
    if ((await dueOf(this.database, ['tree'])).size === 0) return;
    const left = await this.database.transaction((tx) => takeTree(tx, abandonedSeconds));
    if (left !== null)
      await this.below(left.id, left.error ?? 'cancelled with the tree that it belongs to', Number.POSITIVE_INFINITY);
  }

  /** Written down in the caller's transaction, before anything is cancelled. */
  readonly remember = (tx: Parameters<typeof rememberTree>[0], rootId: string) =>
    rememberTree(tx, rootId, abandonedSeconds);

  async below(rootId: string, reason: string, ms = patienceMs): Promise<TreeProgress> {
    const until = performance.now() + ms;
    let cancelled = 0;
    // Once more after something was found: what was being created below it while this went by.
    for (let found = -1; found !== 0;) {
      const pass = await this.pass(rootId, reason, until);
      found = pass.cancelled;
      cancelled += found;
      if (pass.complete) continue;
      await this.database.transaction((tx) => rememberTree(tx, rootId, 0));
      return { cancelled, complete: false };
    }
    await this.database.transaction((tx) => forgetTree(tx, rootId));
    return { cancelled, complete: true };
  }

  private async pass(rootId: string, reason: string, until: number): Promise<TreeProgress> {
    let cancelled = 0;
    for (let parents = [rootId]; parents.length > 0;) {
      const next: string[] = [];
      for (let from = 0; from < parents.length; from += perTransaction) {
        const some = parents.slice(from, from + perTransaction);
        for (let after: { parentId: string; id: string } | null = null; ;) {
          const page = await childrenOf(this.database, { parents: some, after, limit: perTransaction });
          const last = page.at(-1);
          if (last === undefined) break;
          after = { parentId: last.parent_id, id: last.id };
          cancelled += await this.cancel(
            page.filter(({ finished }) => !finished).map(({ id }) => id),
            reason,
          );
          next.push(...page.map(({ id }) => id));
          if (performance.now() > until) return { cancelled, complete: false };
          if (page.length < perTransaction) break;
        }
      }
      parents = next;
    }
    return { cancelled, complete: true };
  }

  private async cancel(ids: readonly string[], reason: string): Promise<number> {
    if (ids.length === 0) return 0;
    const rows = await this.database.transaction(async (tx) => {
      const ended = await cancelMany(tx, ids, reason);
      for (const { id, team_id, project_id } of ended)
        tx.append({
          type: 'task.cancelled',
          teamId: team_id,
          projectId: project_id,
          subject: id,
          data: { taskId: id, reason },
        });
      return ended;
    });
    for (const { id, fence } of rows) if (fence !== null) this.wakeUps.attemptEnded({ taskId: id, fence, reason });
    return rows.length;
  }
}
