import type { Tx } from '#kernel';
import type { Database } from '#platform/database';
import { takeDue, type DueKind } from '../sql/sweep.ts';
import type { EndedAttempt, WakeUps } from './wake-ups.ts';

/** In one round; what is left is due in the next. */
const mostPerRound = 500;

/**
 * What is due of a kind, each in a transaction of its own: a task is locked wherever it is, and none is waited for with another in hand.
 * @param decide about a task, in its transaction; the attempt that it ended is told afterwards
 */
export async function decideDue(
  database: Database,
  wakeUps: WakeUps,
  kind: DueKind,
  decide: (tx: Tx, taskId: string) => Promise<EndedAttempt | null>,
): Promise<void> {
  for (let n = 0; n < mostPerRound; n++) {
    const done = await database.transaction(async (tx) => {
      const taskId = await takeDue(tx, kind);
      return taskId === null ? null : { ended: await decide(tx, taskId) };
    });
    if (done === null) return;
    if (done.ended !== null) wakeUps.attemptEnded(done.ended);
  }
}
