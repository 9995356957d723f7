import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Config } from '#platform/config';
import { Database } from '#platform/database';
import { SettleVerification } from './commands/settle-verification.ts';

const everyMs = 5_000;
const batch = 50;

/** Looks after verifications that have been open for a while: a task that was never started, an event that was never heard. */
@Injectable()
export class Sweep implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly log = new Logger('quality');
  private timer: NodeJS.Timeout | null = null;
  private round: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly settle: SettleVerification,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.role === 'all' || this.config.role === 'worker') this.again();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    await this.round;
  }

  async sweep(): Promise<void> {
    const due = await this.database.sql<{ id: string }>(
      `update verifications set next_action_at = clock_timestamp() + interval '15 seconds'
       where id in (select id from verifications where next_action_at <= clock_timestamp()
                    order by next_action_at, id limit $1 for update skip locked)
       returning id`,
      [batch],
    );
    for (const { id } of due) {
      if (this.stopped) return;
      try {
        await this.settle.run(id);
      } catch (error) {
        this.log.error(`Verification ${id} could not be looked after and is tried again: ${String(error)}`);
      }
    }
  }

  private again(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.round = this.sweep()
        .catch((error: unknown) => this.log.error(`The sweep failed and tries again: ${String(error)}`))
        .finally(() => this.again());
    }, everyMs);
  }
}
