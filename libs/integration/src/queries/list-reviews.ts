import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import type { ReviewView } from '@muster/contracts';
import { Database } from '#platform/database';
import { Repositories } from '#platform/git';
import { reviewColumns } from '../domain/review-row.ts';
import { NotFound } from '../integration.errors.ts';

/** What people said about the content of a submission, wherever they said it; the first word first. */
export class ListReviews extends Query<ReviewView[]> {
  constructor(readonly submissionId: string) {
    super();
  }
}

@QueryHandler(ListReviews)
export class ListReviewsHandler implements IQueryHandler<ListReviews> {
  constructor(
    private readonly database: Database,
    private readonly repositories: Repositories,
  ) {}

  async execute({ submissionId }: ListReviews): Promise<ReviewView[]> {
    const [row] = await this.database.sql<{ project_id: string; base: string; tree: string }>(
      `select project_id, base, tree from submissions where id = $1`,
      [submissionId],
    );
    if (row === undefined) throw new NotFound('submission', submissionId);
    return await this.database.sql<ReviewView>(
      `select ${reviewColumns} from reviews where project_id = $1 and base_tree = $2 and tree = $3 order by created_at, user_id limit 200`,
      [row.project_id, await this.repositories.treeOf(row.project_id, row.base), row.tree],
    );
  }
}
