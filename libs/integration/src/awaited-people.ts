import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import picomatch from 'picomatch';
import { ReadPolicy } from '#messages/projects';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import type { SubmissionRow } from './domain/submission.ts';
import { Grounds } from './grounds.ts';
import { LandingSets } from './landing-sets.ts';
import { Reviews } from './reviews.ts';

/** Whom an accepted submission waits for before it takes its place in the queue. */
@Injectable()
export class AwaitedPeople {
  constructor(
    private readonly database: Database,
    private readonly queries: QueryBus,
    private readonly grounds: Grounds,
    private readonly reviews: Reviews,
    private readonly sets: LandingSets,
    private readonly config: Config,
  ) {}

  /** Approvals come first: who releases a change wants to know that it has them. */
  async before(
    row: SubmissionRow,
  ): Promise<{ held: 'person' | 'review' | 'set'; missing: SubmissionRow['review_needs'] } | null> {
    const head = row.kind === 'revert' ? null : await this.grounds.headOf(row);
    if (head !== null) {
      const { missing } = await this.reviews.stateOf(row, head.policy, head.landed);
      if (missing.length > 0) return { held: 'review', missing };
    }
    if (await this.needsPerson(row)) return { held: 'person', missing: [] };
    return (await this.sets.of(row)) === null ? null : { held: 'set', missing: [] };
  }

  /** A revert was asked for by a person, or by the rules themselves. */
  private async needsPerson(row: SubmissionRow): Promise<boolean> {
    if (row.kind === 'revert' || row.released_by !== null) return false;
    const { policy } = await this.queries.execute(new ReadPolicy(row.project_id));
    const closed = [...policy.landing.protectedBranches, ...this.config.landingProtectedBranches];
    return policy.landing.mode === 'person' || picomatch(closed)(row.branch);
  }

  /** Somebody who may review said no to this content, and did not take it back. */
  async refusalOf(row: SubmissionRow): Promise<{ name: string; comment: string | null } | null> {
    const [said] = await this.database.sql<{ name: string; comment: string | null }>(
      `select name, comment from reviews where submission_id = $1 and verdict = 'reject' order by created_at limit 1`,
      [row.id],
    );
    return said ?? null;
  }
}
