import { Injectable, Logger } from '@nestjs/common';
import { Database } from '#platform/database';

/** Accounts that rest because their forge asks for it, for every project and every server that uses them. */
@Injectable()
export class ForgePauses {
  private readonly logger = new Logger(ForgePauses.name);

  constructor(private readonly database: Database) {}

  async rest(account: string, pauseMs: number): Promise<void> {
    this.logger.warn(`${account} asks to be left alone for ${Math.ceil(pauseMs / 1000)} s`);
    await this.database.sql(
      `insert into forge_pauses (account, until) values ($1, muster_now() + make_interval(secs => $2::float8 / 1000))
       on conflict (account) do update set until = greatest(forge_pauses.until, excluded.until)`,
      [account, pauseMs],
    );
  }
}
