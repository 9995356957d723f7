import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Database } from '#platform/database';
import { Rounds } from '#platform/rounds';
import { SettleVerification } from './commands/settle-verification.ts';

const everyMs = 5_000;
const batch = 50;

/** Looks after verifications that have been open for a while: a task that was never started, an event that was never heard. */
@Injectable()
export class Sweep implements OnApplicationBootstrap {
  private readonly log = new Logger('quality');

  constructor(
    private readonly database: Database,
    private readonly rounds: Rounds,
    private readonly settle: SettleVerification,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin('open verifications', everyMs, (signal) => this.sweep(signal));
  }

  async sweep(signal?: AbortSignal): Promise<void> {
    const due = await this.database.sql<{ id: string }>(
      `update verifications set next_action_at = clock_timestamp() + interval '15 seconds'
       where id in (select id from verifications where next_action_at <= clock_timestamp()
                    order by next_action_at, id limit $1 for update skip locked)
       returning id`,
      [batch],
    );
    for (const { id } of due) {
      if (signal?.aborted) return;
      try {
        await this.settle.run(id);
      } catch (error) {
        this.log.error(`Verification ${id} could not be looked after and is tried again: ${String(error)}`);
      }
    }
  }
}
