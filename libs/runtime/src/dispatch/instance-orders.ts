import type { InstanceWish } from '@muster/contracts';
import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { notWantedToRun } from '../sql/instance-control.ts';

/** Somebody who speaks to an instance. */
export interface Ordered {
  readonly instanceId: string | null;
  /** What it was told last. */
  readonly wanted: InstanceWish;
  order(wanted: InstanceWish, reason: string | null): void;
}

export const ordersTopic = 'runtime.instances';
const lookEveryMs = 1_000;

/**
 * Tells the agents whose sockets this process holds what is wanted of their instances, whichever server was asked. Woken by
 * signals, and looking by itself every second.
 */
@Injectable()
export class InstanceOrders implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger('instances');
  private readonly sessions = new Set<Ordered>();
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | null = null;
  private again = false;

  constructor(
    private readonly database: Database,
    private readonly signals: Signals,
  ) {}

  onApplicationBootstrap(): void {
    this.signals.subscribe(ordersTopic, () => this.look());
    this.timer = setInterval(() => this.look(), lookEveryMs);
    this.timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
  }

  /** Called once it is known which instance it is. */
  add(session: Ordered): void {
    this.sessions.add(session);
  }

  remove(session: Ordered): void {
    this.sessions.delete(session);
  }

  private look(): void {
    if (this.sessions.size === 0) return;
    this.again = true;
    this.looking ??= this.lookAll().finally(() => (this.looking = null));
  }

  private async lookAll(): Promise<void> {
    try {
      while (this.again) {
        this.again = false;
        const rows = new Map((await notWantedToRun(this.database)).map((row) => [row.id, row]));
        for (const session of this.sessions) {
          const row = session.instanceId === null ? undefined : rows.get(session.instanceId);
          const wanted = row?.wanted ?? 'run';
          if (session.wanted !== wanted) session.order(wanted, row?.wanted_reason ?? null);
        }
      }
    } catch (error) {
      this.log.warn({ err: error }, 'could not look for what is wanted of instances; the next look is a second away');
    }
  }
}
