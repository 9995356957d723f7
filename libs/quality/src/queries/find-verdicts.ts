import type { VerificationView } from '@muster/contracts';
import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindVerdicts } from '#messages/quality';
import { Database } from '#platform/database';

type Verdict = Pick<VerificationView, 'id' | 'state' | 'verdict' | 'score'>;

@QueryHandler(FindVerdicts)
export class FindVerdictsHandler implements IQueryHandler<FindVerdicts> {
  constructor(private readonly database: Database) {}

  async execute({ verificationIds }: FindVerdicts): Promise<Verdict[]> {
    if (verificationIds.length === 0) return [];
    return this.database.sql<Verdict>(
      `select id, state, verdict, score::float8 as score from verifications where id = any ($1::text[]) order by id`,
      [verificationIds],
    );
  }
}
