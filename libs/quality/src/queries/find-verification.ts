import type { VerificationView } from '@muster/contracts';
import { type IQueryHandler, QueryHandler } from '@nestjs/cqrs';
import { FindVerification } from '#messages/quality';
import { Database } from '#platform/database';
import { verificationColumns, type VerificationRow, verificationViewOf } from '../domain/verification.ts';

@QueryHandler(FindVerification)
export class FindVerificationHandler implements IQueryHandler<FindVerification> {
  constructor(private readonly database: Database) {}

  async execute({ verificationId }: FindVerification): Promise<VerificationView | null> {
    const [row] = await this.database.sql<VerificationRow>(
      `select ${verificationColumns} from verifications where id = $1`,
      [verificationId],
    );
    return row === undefined ? null : verificationViewOf(row);
  }
}
