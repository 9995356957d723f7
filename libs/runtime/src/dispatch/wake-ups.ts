import { Injectable } from '@nestjs/common';

export interface EndedAttempt {
  readonly taskId: string;
  readonly fence: number;
  readonly reason: string;
}

/**
 * Hints inside one process: there may be something to hand out, an attempt was ended from outside. They only save time;
 * whoever listens also looks by itself every second, because other servers end and queue tasks too.
 */
@Injectable()
export class WakeUps {
  private readonly claimable = new Set<() => void>();
  private readonly ended = new Set<(attempt: EndedAttempt) => void>();

  onClaimable(listener: () => void): () => void {
    this.claimable.add(listener);
    return () => this.claimable.delete(listener);
  }

  onEnded(listener: (attempt: EndedAttempt) => void): () => void {
    this.ended.add(listener);
    return () => this.ended.delete(listener);
  }

  somethingToClaim(): void {
    for (const listener of this.claimable) listener();
  }

  attemptEnded(attempt: EndedAttempt): void {
    for (const listener of this.ended) listener(attempt);
  }
}
