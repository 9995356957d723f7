import type { VerificationCheck } from '@muster/contracts';
import { type IQueryHandler, Query, QueryHandler } from '@nestjs/cqrs';
import { Database } from '#platform/database';
import { NotFound } from '#platform/http';

/** Where each check of a verification is, while it runs and afterwards. */
export class ListChecks extends Query<{ readonly items: VerificationCheck[]; readonly finished: boolean }> {
  constructor(readonly verificationId: string) {
    super();
  }
}

@QueryHandler(ListChecks)
export class ListChecksHandler implements IQueryHandler<ListChecks> {
  constructor(private readonly database: Database) {}

  async execute({ verificationId }: ListChecks): Promise<{ items: VerificationCheck[]; finished: boolean }> {
    const [of] = await this.database.sql<{ finished: boolean }>(
      `select state = 'finished' as finished from verifications where id = $1`,
      [verificationId],
    );
    if (of === undefined) throw new NotFound();
    const items = await this.database.sql<VerificationCheck>(
      `select c.name as "check", case when c.status is null and not $2 then 'running' else 'ended' end as state, c.status, c.summary, c.ms, c.reused,
         c.log_kept as "logCharacters", a.name as "wholeLog"
       from verification_checks c
       left join verification_artefacts a on a.verification_id = c.verification_id and a.name = 'log-' || replace(c.name, '@', '-') || '.txt'
       where c.verification_id = $1 order by c.name`,
      [verificationId, of.finished],
    );
    return { items, finished: of.finished };
  }
}
