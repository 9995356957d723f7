import { Injectable } from '@nestjs/common';
import { Signals } from '#platform/redis';
import type { TaskRow } from '../domain/task-row.ts';

export interface EndedAttempt {
  readonly taskId: string;
  readonly fence: number;
  readonly reason: string;
}
/** Where something can be claimed now: a lane (below zero for tasks with conditions) and, where it is known, the place in it. */
export interface ReadyHint {
  readonly lane: number;
  readonly seq?: number | null;
}

/** Where a task that was queued again is; the pauses and preferences that it may carry are found there. */
export const hintOf = (task: Pick<TaskRow, 'lane'>): ReadyHint => ({ lane: -task.lane });

/**
 * Lanes of tasks with conditions are named to the others: what came back goes before what waits, and who has enough to hand out looks
 * at the table each second only. What is plain stands behind something of its kind, which they know of.
 */
function wordsFor(hints: readonly ReadyHint[] | null): readonly string[] {
  if (hints === null || hints.length === 0 || hints.some(({ lane }) => lane > 0)) return [''];
  return hints.map(({ lane }) => String(lane));
}

/** Null: anywhere. */
const hintsIn = (word: string | null): readonly ReadyHint[] | null =>
  word !== null && /^-\d{1,9}$/.test(word) ? [{ lane: Number(word) }] : null;

const claimableTopic = 'runtime.claimable';
const endedTopic = 'runtime.ended';

/**
 * Hints: there may be something to hand out, an attempt was ended from outside. They only save time; whoever listens also
 * looks by itself every second. Other replicas are told that there is something to look at, or where, and look it up.
 */
@Injectable()
export class WakeUps {
  private readonly claimable = new Set<(hints: readonly ReadyHint[] | null) => void>();
  private readonly ended = new Set<(attempt: EndedAttempt) => void>();
  private readonly elsewhere = new Set<(taskId: string | null) => void>();

  constructor(private readonly signals: Signals) {
    signals.subscribe(claimableTopic, (word) => this.tellClaimable(hintsIn(word)));
    signals.subscribe(endedTopic, (taskId) => {
      for (const listener of this.elsewhere) listener(taskId);
    });
  }

  /** @param listener gets null when nobody knows where */
  onClaimable(listener: (hints: readonly ReadyHint[] | null) => void): () => void {
    this.claimable.add(listener);
    return () => this.claimable.delete(listener);
  }

  onEnded(listener: (attempt: EndedAttempt) => void): () => void {
    this.ended.add(listener);
    return () => this.ended.delete(listener);
  }

  /** Another replica ended an attempt of this task (null: of any task), it says; whether that is so, the database knows. */
  onEndedElsewhere(listener: (taskId: string | null) => void): () => void {
    this.elsewhere.add(listener);
    return () => this.elsewhere.delete(listener);
  }

  somethingToClaim(hints: readonly ReadyHint[] | null = null): void {
    this.tellClaimable(hints);
    for (const word of wordsFor(hints)) this.signals.publishElsewhere(claimableTopic, word);
  }

  attemptEnded(attempt: EndedAttempt): void {
    for (const listener of this.ended) listener(attempt);
    this.signals.publishElsewhere(endedTopic, attempt.taskId);
  }

  private tellClaimable(hints: readonly ReadyHint[] | null): void {
    for (const listener of this.claimable) listener(hints);
  }
}
