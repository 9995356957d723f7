import { Injectable } from '@nestjs/common';
import type { LandingView, RemoteView } from '@muster/contracts';
import { Clock } from '#kernel';
import { Repositories } from '#platform/git';
import type { Pushed } from './domain/request-comment.ts';

/** A forge sees by itself that a request's own commits have reached their branch; only after that it is closed by us. */
const SEEN_BY_ITSELF_MS = 120_000;

/** What of our branch can be seen at the forge. */
@Injectable()
export class LandedThere {
  constructor(
    private readonly repositories: Repositories,
    private readonly clock: Clock,
  ) {}

  /** By the branch that what has landed is pushed to. */
  async isPushed(projectId: string, remotes: readonly RemoteView[], landing: LandingView | null): Promise<Pushed> {
    const to = remotes.find(({ direction }) => direction === 'to');
    if (to === undefined) return 'never';
    if (landing === null || to.commit === null || to.state === 'diverged') return 'not_yet';
    const isThere =
      to.commit === landing.commit || (await this.repositories.isAncestor(projectId, landing.commit, to.commit));
    return isThere ? 'pushed' : 'not_yet';
  }

  /** True: the request's own commits are on the branch there, and the forge has not had the time to see it. */
  async mayBeSeen(
    projectId: string,
    remotes: readonly RemoteView[],
    head: string,
    landing: LandingView,
  ): Promise<boolean> {
    const at = remotes.find(({ direction }) => direction === 'to')?.inStepAt ?? null;
    const since = at === null ? 0 : this.clock.now().getTime() - Date.parse(at);
    return since < SEEN_BY_ITSELF_MS && (await this.repositories.isAncestor(projectId, head, landing.commit));
  }
}
