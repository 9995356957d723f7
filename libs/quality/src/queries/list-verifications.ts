import type { VerificationView } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { decodeCursor, encodeCursor, type Page } from '#kernel';
import { Database } from '#platform/database';
import { listedColumns, type VerificationRow, verificationViewOf } from '../domain/verification.ts';

/** The newest first, without their facts: those come with the single verification. */
export class ListVerifications extends Query<Page<VerificationView>> {
  constructor(
    readonly filter: {
      readonly projectId: string;
      readonly purpose?: VerificationView['purpose'] | undefined;
      readonly state?: VerificationView['state'] | undefined;
      readonly limit: number;
      readonly cursor?: string | undefined;
    },
  ) {
    super();
  }
}

@QueryHandler(ListVerifications)
export class ListVerificationsHandler implements IQueryHandler<ListVerifications> {
  constructor(private readonly database: Database) {}

  async execute({ filter }: ListVerifications): Promise<Page<VerificationView>> {
    const [before = null] = filter.cursor === undefined ? [] : decodeCursor(filter.cursor, 1);
    const rows = await this.database.sql<VerificationRow>(
      `select ${listedColumns} from verifications
       where project_id = $1 and ($2::text is null or purpose = $2) and ($3::text is null or state = $3) and ($4::text is null or id < $4)
       order by id desc limit $5`,
      [filter.projectId, filter.purpose ?? null, filter.state ?? null, before, filter.limit + 1],
    );
    const items = rows.slice(0, filter.limit).map(verificationViewOf);
    const last = items.at(-1);
    return { items, nextCursor: rows.length > filter.limit && last !== undefined ? encodeCursor([last.id]) : null };
  }
}
