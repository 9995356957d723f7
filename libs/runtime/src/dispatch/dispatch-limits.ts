import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Database } from '#platform/database';
import { Signals } from '#platform/redis';
import type { Limit } from '../domain/limit-budget.ts';
import { isReserved } from '../domain/lease-rules.ts';
import type { Lane } from '../sql/lanes.ts';
import { allLimits } from '../sql/limits.ts';
import { WakeUps } from './wake-ups.ts';

const limitsTopic = 'runtime.limits';
const lookEveryMs = 1_000;
/** A lane whose limits are used up is not asked for again before this, and asking takes at most one part in `patience` of the time. */
const restMs = 10;
const patience = 4;
const none: readonly Limit[] = [];

/**
 * The limits, at hand. What is not limited costs a look into a map and nothing in SQL. Being behind costs time and never
 * exactness: each claim names the version that it knows, and an older one gets nothing.
 */
@Injectable()
export class DispatchLimits implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger('dispatch-limits');
  private byTeam: ReadonlyMap<string, readonly Limit[]> = new Map();
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | null = null;
  private readonly resting = new Map<number, number>();
  /** The version of the limits that this process knows. */
  version = 0;

  constructor(
    private readonly database: Database,
    private readonly signals: Signals,
    private readonly wakeUps: WakeUps,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.signals.subscribe(limitsTopic, () => void this.look());
    this.timer = setInterval(() => void this.look(), lookEveryMs);
    this.timer.unref();
    await this.look();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  /** Those that tasks of this lane count for when this agent does them. */
  of(lane: Lane, agent: string): readonly Limit[] {
    const own = this.byTeam.get(lane.teamId);
    if (own === undefined || isReserved(lane.capability)) return none;
    return own.filter(
      (limit) =>
        (limit.projectId === null || limit.projectId === lane.projectId) &&
        (limit.capability === null || limit.capability === lane.capability) &&
        (limit.agent === null || limit.agent === agent),
    );
  }

  hasFor(teamId: string): boolean {
    return this.byTeam.has(teamId);
  }

  /** Nothing more may begin in these lanes for now. @param tookMs what it took to find out */
  rest(laneIds: Iterable<number>, q: { tookMs: number; nextStartInMs: number | null }): void {
    const ms = Math.max(restMs, patience * q.tookMs, Math.min(q.nextStartInMs ?? 0, lookEveryMs));
    for (const id of laneIds) this.resting.set(id, performance.now() + ms);
  }

  isResting(laneId: number): boolean {
    const until = this.resting.get(laneId);
    if (until === undefined) return false;
    if (until > performance.now()) return true;
    this.resting.delete(laneId);
    return false;
  }

  /** Milliseconds until one of them may be asked for again; null when none rests. */
  get restsFor(): number | null {
    if (this.resting.size === 0) return null;
    return Math.max(1, Math.min(...this.resting.values()) - performance.now());
  }

  /** After a commit that changed them: every server looks, and what they held back may begin. */
  async changed(): Promise<void> {
    await this.look();
    this.signals.publishElsewhere(limitsTopic);
    this.wakeUps.somethingToClaim();
  }

  look(): Promise<void> {
    this.looking ??= this.read().finally(() => (this.looking = null));
    return this.looking;
  }

  private async read(): Promise<void> {
    try {
      const { version, limits } = await allLimits(this.database);
      if (version === this.version) return;
      this.version = version;
      this.byTeam = Map.groupBy(limits, ({ teamId }) => teamId);
      this.resting.clear();
    } catch (error) {
      this.log.warn({ err: error }, 'could not look for limits; the next look is a second away');
    }
  }
}
