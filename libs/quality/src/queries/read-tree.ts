import type { Readable } from 'node:stream';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { NotFound } from '#platform/http';

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
    // Whoever fetches it has begun.
    const [row] = await this.database.sql<{ project_id: string }>(
      `with begun as (update verifications set state = 'running' where id = $1 and state = 'pending')
       select project_id from verifications where id = $1 and $2 in (candidate_tree, base_tree, restores_tree)`,
      [verificationId, tree],
    );
    if (row === undefined) throw new NotFound();
    return this.repositories.tar(row.project_id, tree);
  }
}
