import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { Clock } from '#kernel';
import { Database } from '#platform/database';

const everyMs = 30_000;

/** When keys were last used: kept in memory and written now and then, for all of them in one statement. */
@Injectable()
export class KeyUsage implements BeforeApplicationShutdown {
  private readonly log = new Logger(KeyUsage.name);
  private used = new Map<string, Date>();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  note(keyId: string): void {
    this.used.set(keyId, this.clock.now());
    this.timer ??= setTimeout(() => {
      this.timer = null;
      void this.write();
    }, everyMs).unref();
  }

  async write(): Promise<void> {
    if (this.used.size === 0) return;
    const rows = [...this.used];
    this.used = new Map();
    try {
      await this.database.sql(
        `update api_keys k set last_used_at = u.at
         from unnest($1::text[], $2::timestamptz[]) as u (id, at) where k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)`,
        [rows.map(([id]) => id), rows.map(([, at]) => at.toISOString())],
      );
    } catch (error) {
      this.log.warn(`When keys were used could not be written: ${String(error)}`);
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    await this.write();
  }
}
