import type { Readable } from 'node:stream';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { isFinal, submissionColumns, type SubmissionRow } from '../domain/submission.ts';
import { NotFound } from '../integration.errors.ts';

/** One of the three trees of an open submission's conflict with a commit that has landed, as a tar stream; no other. */
export class ReadMergedTree extends Query<Readable> {
  constructor(
    readonly submissionId: string,
    readonly on: string,
    readonly tree: string,
  ) {
    super();
  }
}

@QueryHandler(ReadMergedTree)
export class ReadMergedTreeHandler implements IQueryHandler<ReadMergedTree> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
  ) {}

  async execute({ submissionId, on, tree }: ReadMergedTree): Promise<Readable> {
    const [row] = await this.database.sql<SubmissionRow>(`select ${submissionColumns} from submissions where id = $1`, [
      submissionId,
    ]);
    if (row === undefined || isFinal(row.state) || !(await this.hasLanded(row, on)))
      throw new NotFound('submission', submissionId);
    const { project_id: projectId, commit } = row;
    // Asked anew, so that what git made of it is there however long ago that was.
    const conflict = await this.repositories.contentConflicts(projectId, on, commit);
    const sides = [await this.repositories.treeOf(projectId, on), await this.repositories.treeOf(projectId, commit)];
    if (![conflict?.tree, ...sides].includes(tree)) throw new NotFound('submission', submissionId);
    return this.repositories.tar(projectId, tree);
  }

  private async hasLanded({ project_id: projectId, branch }: SubmissionRow, commit: string): Promise<boolean> {
    const head = await this.repositories.resolve(projectId, `refs/heads/${branch}`);
    const known = await this.repositories.resolve(projectId, commit);
    return head !== null && known === commit && (await this.repositories.isAncestor(projectId, commit, head));
  }
}
