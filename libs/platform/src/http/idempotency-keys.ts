import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';

/** Long enough for a client that was down over a long weekend. */
const keptFor = '7 days';
const forgetEveryMs = 600_000;

/** Takes the keys that nobody repeats any more. */
@Injectable()
export class IdempotencyKeys implements OnApplicationBootstrap {
  constructor(
    private readonly database: Database,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin('idempotency keys', forgetEveryMs, () => this.forget());
  }

  /** A bounded number at a time, so that no lock is held long. */
  async forget(): Promise<void> {
    await this.database.sql(
      `delete from idempotency_keys where ctid in (
         select ctid from idempotency_keys where created_at < clock_timestamp() - interval '${keptFor}' limit 10000)`,
    );
  }
}
