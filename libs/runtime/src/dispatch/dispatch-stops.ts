import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import { dispatchStops, everyTeam } from '../sql/instance-control.ts';

export const stopsTopic = 'runtime.stops';
const lookEveryMs = 1_000;

/** Whose tasks nobody is given now. Kept at hand, so that dispatch need not ask each time; at most a second behind. */
@Injectable()
export class DispatchStops implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger('dispatch-stops');
  private stopped: ReadonlySet<string> = new Set();
  private timer: NodeJS.Timeout | undefined;
  private latest = 0;

  constructor(
    private readonly database: Database,
    private readonly signals: Signals,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.signals.subscribe(stopsTopic, () => void this.look());
    this.timer = setInterval(() => void this.look(), lookEveryMs);
    this.timer.unref();
    await this.look();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  isStopped(teamId: string): boolean {
    return this.stopped.size > 0 && (this.stopped.has(everyTeam) || this.stopped.has(teamId));
  }

  async look(): Promise<void> {
    const mine = ++this.latest;
    try {
      const rows = await dispatchStops(this.database);
      // An answer that was overtaken by a later question's is old.
      if (mine === this.latest) this.stopped = new Set(rows.map(({ team_id }) => team_id));
    } catch (error) {
      this.log.warn({ err: error }, 'could not look for stops; the next look is a second away');
    }
  }
}
