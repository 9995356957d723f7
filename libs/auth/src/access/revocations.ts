import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { Clock, type Tx } from '#kernel';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';

const everyMs = 2_000;
const topic = 'auth.revoked';
/** Commits later than this after their statement are not expected. */
const overlapSeconds = 15;

/**
 * Tells at once in this process whose credential is no good any more. Every other is told to look by a signal, and looks by
 * itself every two seconds.
 */
@Injectable()
export class Revocations implements BeforeApplicationShutdown {
  private readonly log = new Logger(Revocations.name);
  private readonly listeners = new Set<(actorId: string) => void>();
  private readonly seen = new Map<string, number>();
  private timer: NodeJS.Timeout | null = null;
  private lastLook: Date;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly signals: Signals,
  ) {
    this.lastLook = clock.now();
    signals.subscribe(topic, () => this.lookSoon());
  }

  /** In the transaction that takes the credential away. Call `tell` after it. */
  async write(tx: Tx, actorIds: readonly string[]): Promise<void> {
    await tx.sql(`insert into revocations (actor_id) select unnest($1::text[])`, [actorIds]);
    await tx.sql(`delete from revocations where revoked_at < clock_timestamp() - interval '1 hour'`);
  }

  tell(actorIds: readonly string[]): void {
    this.tellHere(actorIds);
    this.signals.publishElsewhere(topic);
  }

  listen(listener: (actorId: string) => void): () => void {
    this.listeners.add(listener);
    this.again();
    return () => this.listeners.delete(listener);
  }

  beforeApplicationShutdown(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.listeners.clear();
  }

  /** What other servers took away, and the keys whose time is over. */
  async look(): Promise<void> {
    const now = this.clock.now();
    const rows = await this.database.sql<{ key: string; actor_id: string }>(
      `select actor_id || revoked_at::text as key, actor_id from revocations
         where revoked_at > clock_timestamp() - make_interval(secs => $3)
       union all
       select id || 'expired' as key, id as actor_id from api_keys where expires_at > $1 and expires_at <= $2`,
      [new Date(this.lastLook.getTime() - overlapSeconds * 1000), now, overlapSeconds],
    );
    this.lastLook = now;
    const fresh = rows.filter(({ key }) => !this.seen.has(key));
    for (const { key } of fresh) this.seen.set(key, now.getTime());
    for (const [key, at] of this.seen) if (at < now.getTime() - 4 * overlapSeconds * 1000) this.seen.delete(key);
    this.tellHere(fresh.map(({ actor_id }) => actor_id));
  }

  private tellHere(actorIds: readonly string[]): void {
    for (const actorId of actorIds) for (const listener of this.listeners) listener(actorId);
  }

  private again(): void {
    this.timer ??= setInterval(() => this.lookSoon(), everyMs).unref();
  }

  private lookSoon(): void {
    if (this.timer === null) return;
    this.look().catch((error: unknown) => this.log.warn(`Revocations could not be read: ${String(error)}`));
  }
}
