import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Config } from '#platform/config';
import { Database, sqlState } from '#platform/database';
import { Rounds } from '#platform/rounds';

const lookEveryMs = 600_000;
/** Dropping waits for whoever reads the log, and everyone behind it waits too; rather later than for longer than this. */
const lockTimeoutMs = 50;
const lockNotAvailable = '55P03';

/**
 * Takes old events out of the log, a whole partition at a time from its oldest end: when its newest event is older than what
 * is kept, nothing of it is owed to a reaction or set aside, and newer events stand in the next one. So the log is never empty.
 */
@Injectable()
export class EventRetention implements OnApplicationBootstrap {
  readonly #log = new Logger('event-log');

  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly rounds: Rounds,
  ) {}

  onApplicationBootstrap(): void {
    this.rounds.begin('event retention', lookEveryMs, () => this.dropOld());
  }

  /** @returns the names of the partitions that went */
  async dropOld(): Promise<string[]> {
    const keptMs = this.config.eventsRetentionMs;
    const gone: string[] = [];
    if (keptMs === null) return gone;
    for (;;) {
      const [old] = await this.database.sql<{ name: string }>(
        `select p.name from (select * from event_partitions order by first limit 1) as p
         join events newest on newest.position = p.last and newest.time < clock_timestamp() - $1 * interval '1 millisecond'
         join events next on next.position = p.last + 1
         where not exists (select from event_deliveries where position <= p.last)`,
        [keptMs],
      );
      if (old === undefined || !(await this.#drop(old.name))) return gone;
      gone.push(old.name);
      this.#log.log(`Events of the partition ${old.name} were older than is kept, and are gone.`);
    }
  }

  async #drop(name: string): Promise<boolean> {
    try {
      await this.database.transaction(async (tx) => {
        await tx.sql(`set local lock_timeout = ${lockTimeoutMs}`);
        await tx.sql(`drop table "${name}"`);
        await tx.sql('delete from event_partitions where name = $1', [name]);
      });
      return true;
    } catch (error) {
      if (sqlState(error) === lockNotAvailable) return false;
      throw error;
    }
  }
}
