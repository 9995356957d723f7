import type { Readable } from 'node:stream';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { NotFound } from '#platform/http';
import type { VerificationRow } from '../domain/verification.ts';

/** One of the trees that a verification names, as a tar stream; no other. */
export class ReadTree extends Query<Readable> {
  constructor(
    readonly verificationId: string,
    readonly tree: string,
  ) {
    super();
  }
}

@QueryHandler(ReadTree)
export class ReadTreeHandler implements IQueryHandler<ReadTree> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
  ) {}

  async execute({ verificationId, tree }: ReadTree): Promise<Readable> {
    const [row] = await this.database.sql<{ project_id: string; state: string }>(
      `select project_id, state from verifications where id = $1 and $2 in (candidate_tree, base_tree, restores_tree)`,
      [verificationId, tree],
    );
    if (row === undefined) throw new NotFound();
    if (row.state === 'pending') await this.begin(verificationId);
    return this.repositories.tar(row.project_id, tree);
  }

  /** Whoever fetches it has begun. */
  private async begin(verificationId: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const [begun] = await tx.sql<
        Pick<VerificationRow, 'team_id' | 'project_id' | 'purpose' | 'subject_id' | 'candidate_tree'>
      >(
        `update verifications set state = 'running' where id = $1 and state = 'pending'
         returning team_id, project_id, purpose, subject_id, candidate_tree`,
        [verificationId],
      );
      if (begun === undefined) return;
      tx.append({
        type: 'verification.started',
        teamId: begun.team_id,
        projectId: begun.project_id,
        subject: verificationId,
        data: {
          verificationId,
          purpose: begun.purpose,
          subjectId: begun.subject_id,
          candidateTree: begun.candidate_tree,
        },
      });
    });
  }
}
