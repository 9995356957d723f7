import { Injectable, Logger } from '@nestjs/common';
import { Database } from '#platform/database';

/** How long rows stay claimed without a sign of life: what a killed server had taken up is free again after that. */
export const CLAIM_SECONDS = 20;
const RENEW_MS = 5_000;

/** Keeps rows claimed for as long as somebody works on them. */
@Injectable()
export class HeldClaims {
  private readonly logger = new Logger(HeldClaims.name);

  constructor(private readonly database: Database) {}

  async during(table: 'forge_statuses' | 'forge_requests', by: string, work: () => Promise<unknown>): Promise<void> {
    const renew = setInterval(() => {
      this.database
        .sql(
          `update ${table} set claimed_until = muster_now() + make_interval(secs => ${CLAIM_SECONDS})
           where claimed_by = $1 and claimed_until is not null`,
          [by],
        )
        .catch((error: unknown) => this.logger.warn(`Claims could not be renewed: ${String(error)}`));
    }, RENEW_MS);
    try {
      await work();
    } finally {
      clearInterval(renew);
    }
  }
}
